import CoppiceRedis
import Testing

@Suite struct RedisCommandTests {
    private func encoded(_ command: RedisCommand) -> String {
        var out: [UInt8] = []
        command.write(to: &out)
        return String(decoding: out, as: UTF8.self)
    }

    @Test func lengthsAreBytes() {
        #expect(encoded(RedisCommand("PING")) == "*1\r\n$4\r\nPING\r\n")
        #expect(encoded(RedisCommand("SET", "ü", "")) == "*3\r\n$3\r\nSET\r\n$2\r\nü\r\n$0\r\n\r\n")
        #expect(encoded(RedisCommand()) == "*0\r\n")
    }

    @Test func everyKindOfArgument() {
        var command = RedisCommand("X")
        command.append(-12)
        command.append([0x0D, 0x0A, 0x24])
        command.append(contentsOf: ["a", "bc"])
        #expect(encoded(command) == "*5\r\n$1\r\nX\r\n$3\r\n-12\r\n$3\r\n\r\n$\r\n$1\r\na\r\n$2\r\nbc\r\n")
    }

    @Test func commandsStandBehindEachOther() {
        var out: [UInt8] = []
        RedisCommand("A").write(to: &out)
        RedisCommand("B").write(to: &out)
        #expect(String(decoding: out, as: UTF8.self) == "*1\r\n$1\r\nA\r\n*1\r\n$1\r\nB\r\n")
    }
}
