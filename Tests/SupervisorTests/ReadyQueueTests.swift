import CoppiceShared
import CoppiceTestSupport
import CoppiceTransport
import Testing

@testable import CoppiceSupervisor

@Suite struct ReadyQueueTests {
    private func drained(_ queue: inout ReadyQueue) -> [Int] {
        var numbers: [Int] = []
        queue.handOut { delivery in
            numbers.append(delivery.number)
            return .taken
        }
        return numbers
    }

    @Test func onRabbitMQTheHighestComesFirst() {
        var queue = ReadyQueue(.highestFirst)
        for (number, priority) in [0, 1, 3, 255, 5, 7, 9, 9].enumerated() { queue.append(.numbered(number, priority: priority)) }
        queue.prepend([.numbered(10, priority: 7), .numbered(11, priority: 200)])
        #expect(drained(&queue) == [3, 11, 6, 7, 10, 5, 4, 2, 1, 0])
    }

    @Test func stepsAreTheBrokersToName() {
        var queue = ReadyQueue(.lowestFirst(steps: [0, 5]))
        for priority in (0...9).reversed() { queue.append(.numbered(priority, priority: priority)) }
        #expect(drained(&queue) == [4, 3, 2, 1, 0, 9, 8, 7, 6, 5])
    }

    @Test func kombusFourSteps() {
        var queue = ReadyQueue(.kombu)
        for priority in (0...9).reversed() { queue.append(.numbered(priority, priority: priority)) }
        #expect(!queue.isEmpty)
        #expect(drained(&queue) == [2, 1, 0, 5, 4, 3, 8, 7, 6, 9])
        #expect(queue.isEmpty)
    }

    @Test func whatComesBackStandsInFront() {
        var queue = ReadyQueue(.kombu)
        for number in [3, 4] { queue.append(.numbered(number)) }
        queue.append(.numbered(30, priority: 3))
        queue.prepend([.numbered(1), .numbered(10, priority: 3), .numbered(2)])
        #expect(drained(&queue) == [1, 2, 3, 4, 10, 30])
    }

    @Test func whatIsRefusedStaysInItsPlace() {
        var queue = ReadyQueue(.kombu)
        for number in 1...5 { queue.append(.numbered(number)) }
        queue.handOut { $0.number.isMultiple(of: 2) ? .taken : .refused }
        queue.append(.numbered(6))
        #expect(queue.removeAll().map(\.number) == [1, 3, 5, 6])
        #expect(queue.isEmpty)
    }

    @Test func fullEndsTheHandingOut() {
        var queue = ReadyQueue(.kombu)
        for number in 1...4 { queue.append(.numbered(number)) }
        queue.append(.numbered(9, priority: 9))
        var asked: [Int] = []
        queue.handOut { delivery in
            asked.append(delivery.number)
            return asked.count == 1 ? .taken : asked.count == 2 ? .refused : .full
        }
        #expect(asked == [1, 2, 3])
        #expect(queue.removeAll().map(\.number) == [2, 3, 4, 9])
    }

    /// Against a plain list: nothing is lost, doubled or overtaken, whatever is taken, refused and given back.
    @Test func behavesAsAListDoes() throws {
        var random = SeededGenerator()
        for _ in 0..<300 {
            var queue = ReadyQueue(.kombu)
            var list: [Delivery] = []
            func step(_ delivery: Delivery) -> Int { min(delivery.message.priority / 3, 3) }
            func inOrder(_ deliveries: [Delivery]) -> [Int] { (0..<4).flatMap { at in deliveries.filter { step($0) == at } }.map(\.number) }
            for number in 0..<60 {
                switch Int.random(in: 0..<4, using: &random) {
                case 0, 1:
                    let delivery = Delivery.numbered(number, priority: .random(in: 0...9, using: &random))
                    queue.append(delivery)
                    list.append(delivery)
                case 2:
                    let back = (0..<3).map { Delivery.numbered(1000 + number * 10 + $0, priority: .random(in: 0...9, using: &random)) }
                    queue.prepend(back)
                    list = back + list
                default:
                    let verdicts = (0..<8).map { _ in Int.random(in: 0..<5, using: &random) }
                    var asked: [Int] = []
                    var taken: Set<Int> = []
                    queue.handOut { delivery in
                        let verdict = verdicts[asked.count % verdicts.count]
                        asked.append(delivery.number)
                        if verdict < 2 { taken.insert(delivery.number) }
                        return verdict < 2 ? .taken : verdict < 4 ? .refused : .full
                    }
                    try #require(asked == Array(inOrder(list).prefix(asked.count)), "seed \(random.seed)")
                    list.removeAll { taken.contains($0.number) }
                }
                try #require(queue.isEmpty == list.isEmpty, "seed \(random.seed)")
            }
            try #require(queue.removeAll().map(\.number) == inOrder(list), "seed \(random.seed)")
        }
    }

    @Test func whatIsRecordedComesBeforeTheRestAndInItsOrder() {
        var queue = ReadyQueue(.kombu)
        for number in 1...3 { queue.append(.numbered(number)) }
        for number in 4...6 {
            let delivery = Delivery.numbered(number)
            delivery.record.order(nil)
            delivery.record.stands(earlier: [])
            queue.appendRecorded(delivery)
        }
        queue.append(.numbered(7))
        #expect(queue.removeAll().map(\.number) == [4, 5, 6, 1, 2, 3, 7])
    }
}
