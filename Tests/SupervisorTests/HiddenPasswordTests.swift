import Testing

@testable import CoppiceSystem

/// What `ps` shows of an argument: byte by byte, whatever it is.
@Suite struct HiddenPasswordTests {
    private func hidden(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        for range in CurrentProcess.passwords(in: bytes) { for index in range { bytes[index] = UInt8(ascii: "*") } }
        return bytes
    }

    @Test(arguments: [
        ("redis://:secret@host/0", "redis://*******@host/0"),
        ("redis://user:secret@host/0", "redis://***********@host/0"),
        ("--broker=amqp://u:p@ss@host", "--broker=amqp://******@host"),
        ("redis://:a@h;redis://:b@h", "redis://***************@h"),
        ("redis://secret@host", "redis://******@host"),
        ("sentinel://h/0?sentinel_password=a&master_name=m", "sentinel://h/0?sentinel_password=*&master_name=m"),
        (
            "sentinel://h?sentinel_password=a;sentinel://i?sentinel_password=b",
            "sentinel://h?sentinel_password=*;sentinel://i?sentinel_password=*"
        ),
        ("sentinel://:p@h/0?master_name=m&sentinel_password=a@b", "sentinel://******************************************"),
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("user:secret@host", "user:secret@host"),
    ]) func passwordsAreOverwritten(_ argument: String, _ shown: String) {
        #expect(hidden(Array(argument.utf8)) == Array(shown.utf8))
    }

    @Test func whatIsNotUTF8KeepsItsLength() {
        let foreign: [UInt8] = [0xff, 0xfe]
        #expect(hidden(foreign + "redis://:".utf8 + foreign + "s@h".utf8) == foreign + "redis://****@h".utf8)
    }
}
