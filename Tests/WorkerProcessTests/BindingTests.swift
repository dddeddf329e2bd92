import CoppiceShared
import FoundationEssentials
import Testing

@testable import CoppiceWorkerProcess

@Suite struct BindingTests {
    struct Add: Codable, Equatable {
        var x: Int
        var y: Int
    }

    struct Greet: Codable, Equatable {
        var name: String
        var greeting: String?
        var times: Int?
    }

    struct Empty: Codable, Equatable {}

    struct Three: Codable {
        var a: Int
        var b: [String]
        var c: Double
    }

    private func bind<Call: Decodable>(_ type: Call.Type, _ positional: [JSONValue], _ keyword: JSONObject = [:]) throws -> Call {
        try TaskArguments(function: "add", positional: positional, keyword: keyword).bind(type)
    }

    private func message<Call: Decodable>(_ type: Call.Type, _ positional: [JSONValue], _ keyword: JSONObject = [:]) -> String {
        do {
            return "bound: \(try bind(type, positional, keyword))"
        } catch {
            return "\(error)"
        }
    }

    @Test func positionalAndKeywordArgumentsMix() throws {
        let wanted = Add(x: 2, y: 3)
        #expect(try bind(Add.self, [2, 3]) == wanted)
        #expect(try bind(Add.self, [2], ["y": 3]) == wanted)
        #expect(try bind(Add.self, [], ["y": 3, "x": 2]) == wanted)
        #expect(try bind(Empty.self, []) == Empty())
    }

    @Test func optionalPropertiesMayBeLeftOut() throws {
        #expect(try bind(Greet.self, ["A"]) == Greet(name: "A"))
        #expect(try bind(Greet.self, ["A", nil, 2]) == Greet(name: "A", times: 2))
        #expect(try bind(Greet.self, ["A"], ["times": 3]) == Greet(name: "A", times: 3))
    }

    /// Word for word what CPython says.
    @Test func errorsArePythons() {
        #expect(message(Add.self, [1, 2, 3]) == "add() takes 2 positional arguments but 3 were given")
        #expect(message(Add.self, [1]) == "add() missing 1 required positional argument: 'y'")
        #expect(message(Add.self, []) == "add() missing 2 required positional arguments: 'x' and 'y'")
        #expect(message(Three.self, []) == "add() missing 3 required positional arguments: 'a', 'b', and 'c'")
        #expect(message(Add.self, [1], ["z": 2]) == "add() got an unexpected keyword argument 'z'")
        #expect(message(Add.self, [1, 2], ["x": 2]) == "add() got multiple values for argument 'x'")
        #expect(message(Add.self, [1, 2], ["y": 2]) == "add() got multiple values for argument 'y'")
        #expect(message(Greet.self, ["a", "b", 3, 4]) == "add() takes from 1 to 3 positional arguments but 4 were given")
        #expect(message(Empty.self, [1]) == "add() takes 0 positional arguments but 1 was given")
        #expect(message(Empty.self, [], ["a": 1]) == "add() got an unexpected keyword argument 'a'")
    }

    @Test func typesAreNotConverted() throws {
        #expect(message(Add.self, ["1", 2]) == "add() argument 'x' must be int, not str")
        #expect(message(Add.self, [3.0, 2]) == "add() argument 'x' must be int, not float")
        #expect(message(Add.self, [true, 2]) == "add() argument 'x' must be int, not bool")
        #expect(message(Three.self, [1, ["a", 2], 1]) == "add() argument 'b[1]' must be str, not int")
        #expect(try bind(Three.self, [1, ["a"], 1]).c == 1.0)
        // What is wrong with the call is told before what is wrong with a value.
        #expect(message(Add.self, ["1", 2, 3]) == "add() takes 2 positional arguments but 3 were given")
    }

    struct Typed: Codable, Equatable {
        var date: Date
        var id: UUID
        var data: Data
        var amount: Decimal
    }

    @Test func typedValuesGoBothWays() throws {
        let id = try #require(UUID(uuidString: "00000000-0000-0000-0000-000000000005"))
        let typed = try bind(
            Typed.self,
            [
                ["__type__": "datetime", "__value__": "2025-01-02T03:04:05.678901+00:00"],
                ["__type__": "uuid", "__value__": ["hex": "00000000000000000000000000000005"]],
                ["__type__": "base64", "__value__": "//4="], ["__type__": "decimal", "__value__": "1.10"],
            ])
        #expect(typed.id == id)
        #expect(typed.data == Data([0xFF, 0xFE]))
        #expect(typed.amount == Decimal(string: "1.1"))
        let text = String(decoding: try ResultEncoder.encode(typed), as: UTF8.self)
        #expect(
            text == """
                {"date": {"__type__": "datetime", "__value__": "2025-01-02T03:04:05.678901+00:00"}, \
                "id": {"__type__": "uuid", "__value__": {"hex": "00000000000000000000000000000005"}}, \
                "data": "//4=", "amount": {"__type__": "decimal", "__value__": "1.1"}}
                """)
        let plain = try bind(
            Typed.self,
            ["2025-01-02T03:04:05.678901Z", "00000000-0000-0000-0000-000000000005", ["__type__": "bytes", "__value__": "abc"], 1.1])
        #expect(plain.date == typed.date)
        #expect(plain.id == id)
        #expect(plain.data == Data("abc".utf8))
    }

    enum Size: String, Codable { case small, large }

    struct Parcel: Codable, Equatable {
        struct Line: Codable, Equatable {
            var product: String
            @Default var count = 1
        }
        var to: String
        @Default var weight: Int = 2
        @Default var note: String? = "none"
        @Default var size = Size.small
        @Default var lines: [Line] = [Line(product: "leaflet")]
        @Default var copies: Int = 3
    }

    @Test func aDefaultIsWhatTheDeclarationSays() throws {
        #expect(try bind(Parcel.self, ["A"]) == Parcel(to: "A"))
        #expect(try bind(Parcel.self, ["A", 7]) == Parcel(to: "A", weight: 7))
        #expect(try bind(Parcel.self, ["A"], ["copies": 7, "size": "large"]) == Parcel(to: "A", size: .large, copies: 7))
        #expect(try bind(Parcel.self, [], ["to": "A", "note": "x"]) == Parcel(to: "A", note: "x"))
        // Null is none, unless it is a value of the type.
        #expect(try bind(Parcel.self, ["A", nil], ["size": nil, "copies": 7]) == Parcel(to: "A", copies: 7))
        #expect(try bind(Parcel.self, ["A"], ["note": nil]) == Parcel(to: "A", note: nil))
        // In what stands in an argument, too; one after the other.
        let lines: JSONValue = [["product": "a"], ["product": "b", "count": 5], ["product": "c", "count": nil]]
        let parcel = try bind(Parcel.self, ["A"], ["lines": lines])
        #expect(parcel == Parcel(to: "A", lines: [.init(product: "a"), .init(product: "b", count: 5), .init(product: "c")]))
    }

    @Test func aDefaultIsNoReasonToTakeAnything() {
        #expect(message(Parcel.self, ["A", "7"]) == "add() argument 'weight' must be int, not str")
        #expect(message(Parcel.self, []) == "add() missing 1 required positional argument: 'to'")
        #expect(message(Parcel.self, [1, 2, 3, 4, 5, 6, 7]) == "add() takes from 1 to 6 positional arguments but 7 were given")
        #expect(message(Parcel.self, ["A", 1], ["weight": 2]) == "add() got multiple values for argument 'weight'")
        #expect(
            message(Parcel.self, ["A"], ["lines": [["product": "a", "count": "1"]]])
                == "add() argument 'lines[0].count' must be int, not str")
    }

    /// What other properties begin with has defaults of its own.
    struct Crate: Codable, Equatable {
        var parcel = Parcel(to: "plain", weight: 5)
        @Default var weight: Int = 9
        @Default var copies: Int = 10
    }

    @Test func defaultsOfOneTypeAreNotAnothers() throws {
        #expect(try bind(Crate.self, [["to": "A"]]) == Crate(parcel: Parcel(to: "A"), weight: 9, copies: 10))
    }

    /// What it makes by itself while it is decoded has defaults of its own, and they are not those of what follows.
    struct Maker: Decodable {
        let made = Parcel(to: "made")
        let given: Parcel

        enum CodingKeys: CodingKey { case given }

        init(from decoder: any Decoder) throws {
            _ = Parcel(to: "before", weight: 11)
            let container = try decoder.container(keyedBy: CodingKeys.self)
            _ = Parcel(to: "after", weight: 12)
            given = try container.decode(Parcel.self, forKey: .given)
        }
    }

    @Test func whatIsMadeMeanwhileLeavesNoDefaults() throws {
        let maker = try bind(Maker.self, [["to": "A"]])
        #expect(maker.given == Parcel(to: "A") && maker.made == Parcel(to: "made"))
    }

    @Test func aWrongCaseNamesTheArgument() {
        #expect(
            message(Parcel.self, ["A"], ["size": "huge"])
                == "add() argument 'size': Cannot initialize Size from invalid String value huge")
        #expect(message(Parcel.self, ["A"], ["size": 5]) == "add() argument 'size' must be str, not int")
        struct Sized: Codable { var sizes: [Size] }
        #expect(
            message(Sized.self, [["small", "huge"]]) == "add() argument 'sizes[1]': Cannot initialize Size from invalid String value huge")
    }

    struct Download: Codable, Equatable {
        var from: URL
        var digest: Data
    }

    @Test func urlsAndBase64AreJSONDecoders() throws {
        let text = #"{"from":"https://example.org/a?b=c","digest":"3q2+7w=="}"#
        let wanted = try JSONDecoder().decode(Download.self, from: Data(text.utf8))
        let object = try #require(try JSONValue(parsing: Array(text.utf8)).object)
        #expect(try bind(Download.self, [], object) == wanted)
        let encoded = try ResultEncoder.encode(wanted)
        #expect(try JSONDecoder().decode(Download.self, from: Data(encoded)) == wanted)
        #expect(message(Download.self, ["", ""]) == "add() argument 'from' is no URL")
        #expect(message(Download.self, ["a:b", "%"]) == "add() argument 'digest' is not base64")
        #expect(message(Download.self, [5, 5]) == "add() argument 'from' must be URL, not int")
    }

    struct Order: Codable {
        struct Line: Codable {
            var product: String
            var count: UInt8
        }
        var lines: [Line]
        var notes: [String: JSONValue]
    }

    @Test func nestedValuesBindAndSayWhereTheyDoNot() throws {
        let order = try bind(Order.self, [[["product": "a", "count": 2]], ["k": [1, nil]]])
        #expect(order.lines.first?.count == 2)
        #expect(order.notes["k"] == [1, nil])
        #expect(message(Order.self, [[["product": "a", "count": 300]], [:]]) == "add() argument 'lines[0].count' does not fit into UInt8")
        #expect(message(Order.self, [[["product": "a"]], [:]]) == "add() argument 'lines[0]' has no member 'count'")
    }

    /// 50,000 members take milliseconds; looking through all of them for each would take minutes.
    @Test(.timeLimit(.minutes(1))) func bigObjectsBindInLinearTime() throws {
        struct Big: Codable { var map: [String: Int] }
        var object = JSONObject()
        for index in 0..<50_000 { object.append("key\(index)", .int(index)) }
        #expect(try bind(Big.self, [.object(object)]).map.count == 50_000)
    }

    @Test(
        arguments: [
            ("{}", []), ("null", []), (#"{"callbacks": null, "errbacks": [], "chain": null, "chord": {}}"#, []),
            (#"{"callbacks": [{"task": "a"}], "errbacks": null, "chain": [{"task": "b"}], "chord": null}"#, ["callbacks", "chain"]),
            (#"{"errbacks": [{"task": "a"}], "chord": {"task": "b"}, "other": 1}"#, ["errbacks", "chord"]),
        ] as [(String, [String])])
    func canvasIsSeen(_ embed: String, _ parts: [String]) throws {
        #expect(try TaskArguments(body("[[2, 3], {}, \(embed)]")).canvas == parts)
    }

    @Test func canvasOfProtocolOneIsSeen() throws {
        #expect(try TaskArguments(body(#"{"args": [2, 3], "kwargs": {}, "callbacks": [{"task": "a"}]}"#)).canvas == ["callbacks"])
    }

    private func body(_ text: String, base64: Bool = false, type: String = "application/json", compression: String = "") -> RunFrame {
        RunFrame(
            assignment: 1, id: "i", name: "proj.add", contentType: type, compression: compression, bodyIsBase64: base64,
            body: Array(text.utf8))
    }

    @Test func bodiesAreRead() throws {
        #expect(try TaskArguments(body("[[2, 3], {}, {}]")).bind(Add.self) == Add(x: 2, y: 3))
        #expect(try TaskArguments(body("[[2], {\"y\": 3}, null]")).bind(Add.self) == Add(x: 2, y: 3))
        #expect(try TaskArguments(body("W1syLCAzXSwge30sIHt9XQ==", base64: true)).bind(Add.self) == Add(x: 2, y: 3))
        #expect(try TaskArguments(body("{\"args\": [2], \"kwargs\": {\"y\": 3}}")).bind(Add.self) == Add(x: 2, y: 3))
    }

    /// Python's zlib.compress and gzip.compress of `[[2, 3], {}, {}]`.
    @Test(arguments: ["eJyLjjbSUTCO1VGorgXhWAAkWwSq", "H4sIAAAAAAACA4uONtJRMI7VUaiuBeFYAB0q9x8QAAAA"])
    func compressedBodiesAreRead(_ text: String) throws {
        #expect(
            try TaskArguments(body(text, base64: true, compression: "application/x-gzip")).bind(Add.self) == Add(x: 2, y: 3))
    }

    @Test func badBodiesAreDecodeErrors() {
        let bad = [
            body("{"), body("[[2], {}"), body("5"), body("[]"), body("[[1]]"), body("[1, {}, {}]"), body("[[], [], {}]"),
            body("[[], {}, {}] x"),
            body("!!", base64: true), body("[[], {}, {}]", type: "application/x-python-serialize"),
            body("[[], {}, {}]", compression: "application/x-gzip"), body("", compression: "application/x-gzip"),
            body("[[], {}, {}]", compression: "application/x-bz2"),
            // The compressed [[2, 3], {}, {}] without its end, and with a wrong checksum.
            body("eJyLjjbSUTCO1VGorgXhWAAk", base64: true, compression: "application/x-gzip"),
            body("eJyLjjbSUTCO1VGorgXhWAAkWwSr", base64: true, compression: "application/x-gzip"),
        ]
        for run in bad {
            do {
                _ = try TaskArguments(run)
                Issue.record("accepted: \(String(decoding: run.body, as: UTF8.self))")
            } catch {
                #expect(error.type == "DecodeError" && error.module == "kombu.exceptions")
            }
        }
    }
}
