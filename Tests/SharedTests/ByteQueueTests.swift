import Testing

@testable import CoppiceShared

@Suite struct ByteQueueTests {
    @Test func whatIsAppendedIsConsumedInOrder() {
        var queue = ByteQueue()
        #expect(queue.isEmpty)
        queue.append { $0 += [1, 2, 3] }
        queue.append { $0.append(4) }
        queue.consume(2)
        #expect(Array(queue.waiting) == [3, 4])
        #expect(queue.count == 2)
        // More than there is.
        queue.consume(9)
        #expect(queue.isEmpty && queue.waiting.isEmpty)
        queue.append { $0.append(5) }
        queue.removeAll()
        #expect(queue.isEmpty)
    }

    /// In portions of all sizes, so that cuts fall everywhere.
    @Test func noByteIsLostOrDoubledByACut() {
        var queue = ByteQueue()
        var (written, read) = (0, 0)
        for size in 0..<2000 {
            queue.append { for offset in 0..<(size * 7 % 1500) { $0.append(UInt8(truncatingIfNeeded: written + offset)) } }
            written += size * 7 % 1500
            let portion = min(size * 5 % 1500, queue.count)
            #expect(queue.waiting.prefix(portion).elementsEqual((read..<read + portion).map { UInt8(truncatingIfNeeded: $0) }))
            queue.consume(portion)
            read += portion
            #expect(queue.count == written - read)
        }
    }

    @Test func whoNeverCatchesUpCostsWhatHeIsBehind() {
        var queue = ByteQueue()
        let portion = [UInt8](repeating: 7, count: 1 << 16)
        queue.append { $0 += portion }
        for _ in 0..<1000 {
            queue.append { $0 += portion }
            queue.consume(portion.count)
        }
        #expect(queue.count == portion.count)
        // An array's own growth may double it once more.
        #expect(queue.capacity <= 8 * portion.count)
    }

    @Test func theRoomOfAPeakIsGivenBack() {
        var queue = ByteQueue()
        queue.append { $0 += [UInt8](repeating: 7, count: 64 << 20) }
        queue.consume(60 << 20)
        #expect(queue.capacity < 8 << 20)
        queue.consume((4 << 20) - 1)
        #expect(queue.count == 1)
        #expect(queue.capacity < 1 << 20)
    }
}
