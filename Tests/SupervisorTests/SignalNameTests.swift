import CoppiceShared
import Glibc
import Testing

@testable import CoppiceSupervisor

@Suite struct SignalNameTests {
    @Test(arguments: [
        ("TERM", SIGTERM), ("SIGTERM", SIGTERM), ("sigkill", SIGKILL), ("Usr1", SIGUSR1), ("9", SIGKILL), ("1", 1), ("64", 64),
        ("HUP", SIGHUP),
    ])
    func known(_ text: String, _ number: Int32) { #expect(SignalName.number(text) == number) }

    @Test(arguments: ["", "SIG", "SIGSIGTERM", "0", "65", "-9", "9 ", "NO", "99999999999", "1.5", "TERM\0"])
    func unknown(_ text: String) { #expect(SignalName.number(text) == nil) }

    @Test func fromJSON() {
        let none: JSONValue? = nil
        #expect(SignalName.number(.string("KILL")) == SIGKILL)
        #expect(SignalName.number(.int(15)) == SIGTERM)
        for value in [none, .null, .bool(true), .int(0), .int(.max), .double(9), .array([]), .string("x")] as [JSONValue?] {
            #expect(SignalName.number(value) == nil)
        }
    }

    @Test func namesComeBack() {
        for number: Int32 in 1...31 where SignalName.name(number).hasPrefix("SIG") {
            #expect(SignalName.number(SignalName.name(number)) == number)
        }
        #expect(SignalName.name(SIGKILL) == "SIGKILL" && SignalName.name(SIGSEGV) == "SIGSEGV")
        #expect(SignalName.name(50) == "signal 50")
    }
}
