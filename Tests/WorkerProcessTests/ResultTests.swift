import CoppiceShared
import Testing

@testable import CoppiceWorkerProcess

@Suite struct ResultTests {
    private func text(_ value: some Encodable) throws -> String { String(decoding: try ResultEncoder.encode(value), as: UTF8.self) }

    @Test func plainValues() throws {
        #expect(try text(5) == "5")
        #expect(try text(-5) == "-5")
        #expect(try text("é\"") == "\"\\u00e9\\\"\"")
        #expect(try text(true) == "true")
        #expect(try text(1.0) == "1.0")
        #expect(try text(Double.nan) == "NaN")
        #expect(try text(Float(0.1)) == "0.1")
        #expect(try text(UInt64.max) == "18446744073709551615")
        #expect(try text(NoOutput()) == "null")
        #expect(try text(Int?.none) == "null")
        #expect(try text(Int?.some(1)) == "1")
    }

    @Test func lists() throws {
        #expect(try text([1, 2]) == "[1, 2]")
        #expect(try text([Int]()) == "[]")
        #expect(try text([1.5, 2]) == "[1.5, 2.0]")
        #expect(try text(["a", "b"]) == "[\"a\", \"b\"]")
        #expect(try text([true, false]) == "[true, false]")
        #expect(try text([[1], []]) == "[[1], []]")
        #expect(try text([Int?.none, 1]) == "[null, 1]")
    }

    struct Report: Encodable {
        enum Kind: String, Encodable { case full }
        var kind = Kind.full
        var lines: [[String: Int]] = [["a": 1], [:]]
        var none: Int?
        var raw: JSONValue = ["n": nil, "big": .bigInt("123456789012345678901234567890")]
    }

    @Test func structs() throws {
        #expect(
            try text(Report())
                == "{\"kind\": \"full\", \"lines\": [{\"a\": 1}, {}], \"raw\": {\"n\": null, \"big\": 123456789012345678901234567890}}")
    }

    @Test func aDefaultIsTheBareValue() throws {
        struct Parcel: Codable {
            @Default var count = 1
            @Default var note: String? = nil
        }
        #expect(try text(Parcel(count: 5)) == "{\"count\": 5, \"note\": null}")
    }

    @Test func anErrorOfTheValuesOwnPassesThrough() {
        struct Broken: Encodable {
            func encode(to encoder: any Encoder) throws { throw ValueError("no") }
        }
        #expect(throws: ValueError.self) { try ResultEncoder.encode(Broken()) }
    }
}
