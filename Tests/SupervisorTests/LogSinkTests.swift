import CoppiceShared
import CoppiceSystem
import Foundation
import Testing

@testable import CoppiceSupervisor

/// What is given as a log need not be a file, and nobody need read it.
@Suite(.timeLimit(.minutes(1))) struct LogSinkTests {
    private static func withFIFO(_ body: (String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appendingPathComponent("fifo").path
        try #require(mkfifo(path, 0o600) == 0)
        try body(path)
    }

    @Test func aFIFOThatNobodyReadsIsRefused() throws {
        try LogSinkTests.withFIFO { path in
            let error = #expect(throws: SystemError.self) { try LogSink(path: path) }
            #expect(error?.description.contains("nobody reads") == true)
        }
    }

    @Test func aReaderThatDoesNotReadLosesLinesAndIsNotWaitedFor() throws {
        try LogSinkTests.withFIFO { path in
            let reader = try Descriptor.open(path, flags: O_RDONLY | O_NONBLOCK)
            let sink = try LogSink(path: path)
            let line = String(repeating: "x", count: 1023)
            for _ in 0..<1024 {
                sink.write(line)
                sink.flush()
            }
            // The pipe is read empty; then what was kept follows, and how much was not.
            var read: [UInt8] = []
            while case .bytes(let bytes) = try reader.read(upTo: 1 << 16) {
                read += bytes
                sink.flush()
            }
            let lines = read.split(separator: UInt8(ascii: "\n")).map { String(decoding: $0, as: UTF8.self) }
            let kept = lines.filter { $0 == line }.count
            #expect(kept >= 256)
            #expect(lines.filter { $0 != line } == ["(\(1024 - kept) log lines lost: nobody read them)"])
        }
    }
}
