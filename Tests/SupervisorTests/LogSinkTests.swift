import CoppiceShared
import CoppiceSystem
import Foundation
import Logging
import Testing

@testable import CoppiceSupervisor

/// What is given as a log need not be a file, and nobody need read it.
@Suite(.timeLimit(.minutes(1))) struct LogSinkTests {
    private static func withFolder(_ body: (String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("log-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try body(folder.path)
    }

    private static func withFIFO(_ body: (String) throws -> Void) throws {
        try withFolder { folder in
            try #require(mkfifo(folder + "/fifo", 0o600) == 0)
            try body(folder + "/fifo")
        }
    }

    private func sink(_ path: String, _ format: LogFormat = .human) throws -> LogSink {
        try LogSink(LogOptions(file: path, format: format), node: "celery@test")
    }

    private func record(_ text: String, slot: Int = 0, stream: String? = nil) -> LogRecord {
        var record = LogRecord(time: .now, level: .warning, text: text)
        record.fields.append(LogField.slot, .int(slot))
        if let stream { record.fields.append(LogField.stream, .string(stream)) }
        return record
    }

    private func lines(_ path: String) throws -> [String] {
        try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map { String($0.split(separator: "] ", maxSplits: 1)[1]) }
    }

    @Test func aFIFOThatNobodyReadsIsRefused() throws {
        try LogSinkTests.withFIFO { path in
            let error = #expect(throws: SystemError.self) { try sink(path) }
            #expect(error?.description.contains("nobody reads") == true)
        }
    }

    @Test func aReaderThatDoesNotReadLosesLinesAndIsNotWaitedFor() throws {
        try LogSinkTests.withFIFO { path in
            let reader = try Descriptor.open(path, flags: O_RDONLY | O_NONBLOCK)
            let sink = try sink(path)
            let text = String(repeating: "x", count: 1023)
            // A child's flood leaves room for what the master has to say.
            for _ in 0..<1024 {
                sink.write(record(text, slot: 2, stream: "stdout"))
                sink.flush()
            }
            sink.write(record("the master's"))
            // The pipe is read empty; then what was kept follows, and how much was not.
            var read: [UInt8] = []
            while case .bytes(let bytes) = try reader.read(upTo: 1 << 16) {
                read += bytes
                sink.flush()
            }
            let lines = String(decoding: read, as: UTF8.self).split(separator: "\n").map { $0.split(separator: "] ")[1] }
            let kept = lines.filter { $0 == text }.count
            #expect(kept >= 128 && kept < 1024)
            #expect(
                lines.filter { $0 != text } == [
                    "the master's", "\(1024 - kept) log lines of child 2 lost: nobody read them, or there was no room",
                ])
        }
    }

    @Test func atTheEndASlowReaderGetsTheRest() throws {
        try LogSinkTests.withFIFO { path in
            let reader = try Descriptor.open(path, flags: O_RDONLY | O_NONBLOCK)
            let sink = try sink(path)
            // More than the pipe holds, and no more than waits.
            for number in 0..<200 { sink.write(record("\(number) " + String(repeating: "x", count: 1000))) }
            let lines = Monitor(0)
            let raw = reader.raw
            try NativeThread.start("reader") {
                var buffer = [UInt8](repeating: 0, count: 1 << 12)
                var count = 0
                while count < 200, poll(nil, 0, 1) == 0 {
                    let got = Glibc.read(raw, &buffer, buffer.count)
                    if got == 0 || got < 0 && errno != EAGAIN { return }
                    count += buffer.prefix(max(0, got)).count { $0 == UInt8(ascii: "\n") }
                    let sum = count
                    lines.withLock { $0 = sum }
                }
            }
            sink.finish()
            // All has left: the rest is in the pipe. Whoever had given up had closed it now.
            let deadline = MonotonicTime.now.advanced(by: 10)
            while lines.withLock({ $0 }) < 200, MonotonicTime.now < deadline { poll(nil, 0, 5) }
            #expect(lines.withLock { $0 } == 200)
            reader.close()
        }
    }

    @Test func aReaderThatDoesNotReadIsNotWaitedForAtTheEndEither() throws {
        try LogSinkTests.withFIFO { path in
            let reader = try Descriptor.open(path, flags: O_RDONLY | O_NONBLOCK)
            let sink = try sink(path)
            for _ in 0..<200 { sink.write(record(String(repeating: "x", count: 1000))) }
            let begun = MonotonicTime.now
            sink.finish()
            #expect(MonotonicTime.now.seconds(since: begun) < 10)
            reader.close()
        }
    }

    @Test func aLineThatIsTornDoesNotSpoilTheNext() throws {
        CurrentProcess.ignoreBrokenPipes()
        try LogSinkTests.withFIFO { path in
            let reader = try Descriptor.open(path, flags: O_RDONLY | O_NONBLOCK)
            let sink = try sink(path)
            // Written in pieces of 4 KiB until the pipe is full: in the middle of a line.
            for _ in 0..<40 { sink.write(record(String(repeating: "x", count: 3000))) }
            sink.flush()
            // With room again, and nobody to read, the next write fails.
            _ = try reader.read(upTo: 1 << 13)
            reader.close()
            sink.flush()
            let another = try Descriptor.open(path, flags: O_RDONLY | O_NONBLOCK)
            var read: [UInt8] = []
            func readAll() throws { while case .bytes(let bytes) = try another.read(upTo: 1 << 16) { read += bytes } }
            try readAll()
            sink.write(record("whole"))
            sink.flush()
            try readAll()
            let lines = String(decoding: read, as: UTF8.self).split(separator: "\n")
            #expect(lines.dropLast(2).last?.hasSuffix("xxx") == true)
            #expect(lines.dropLast().last?.wholeMatch(of: /\[[^\]]*\] whole/) != nil, "\(lines.suffix(3))")
            #expect(lines.last?.contains("log lines lost") == true)
        }
    }

    @Test func aFileThatWasMovedAwayIsOpenedAnew() throws {
        try LogSinkTests.withFolder { folder in
            let sink = try sink(folder + "/log")
            sink.write(record("one"))
            sink.flush()
            rename(folder + "/log", folder + "/log.1")
            sink.write(record("two"))
            try sink.reopen()
            sink.flush()
            #expect(try lines(folder + "/log.1") == ["one"])
            #expect(try lines(folder + "/log") == ["two"])
            // Where it can't be, the log goes on where it went.
            rename(folder + "/log", folder + "/log.2")
            try FileManager.default.createDirectory(atPath: folder + "/log", withIntermediateDirectories: false)
            #expect(throws: SystemError.self) { try sink.reopen() }
            sink.write(record("three"))
            sink.flush()
            #expect(try lines(folder + "/log.2") == ["two", "three"])
        }
    }

    @Test func aFullDiskLosesLinesThatAreCounted() throws {
        let sink = try sink("/dev/full")
        for _ in 0..<3 {
            sink.write(record("lost"))
            sink.flush()
        }
        // Nothing is counted that was only to tell of it.
        #expect(sink.lostLines == [0: 3])
    }

    @Test func aJournalThatDoesNotReadIsNotWaitedForAndHearsOfTheLoss() throws {
        try LogSinkTests.withFolder { folder in
            let path = folder + "/socket"
            let receiver = Descriptor(owning: socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0))
            let address = try #require(SocketAddress.unix(path))
            let bound = address.bytes.withUnsafeBytes {
                bind(receiver.raw, $0.baseAddress?.assumingMemoryBound(to: sockaddr.self), socklen_t($0.count))
            }
            try #require(bound == 0)
            let sink = LogSink(try Journal(path: path, node: "celery@test"))
            for number in 0..<20_000 {
                sink.write(record("number \(number)"))
                sink.flush()
            }
            var told: [String] = []
            while case .bytes(let entry) = try receiver.read(upTo: 1 << 16) {
                let message = String(decoding: entry, as: UTF8.self).split(separator: "\n")[0]
                told.append(String(message.dropFirst("MESSAGE=".count)))
                sink.flush()
            }
            let kept = told.filter { $0.hasPrefix("number") }
            #expect(kept == (0..<kept.count).map { "number \($0)" })
            #expect(kept.count < 20_000)
            #expect(told.suffix(1) == ["\(20_000 - kept.count) log lines lost: nobody read them, or there was no room"])
        }
    }
}
