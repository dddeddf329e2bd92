import CoppiceShared
import CoppiceTestSupport
import Testing

@testable import CoppiceSupervisor

@Suite struct DueScheduleTests {
    @Test func nothingBeforeItsTime() {
        var due = DueSchedule()
        #expect(due.isEmpty && due.next == nil && due.popDue(now: WallTime(seconds: 1e9)) == nil)
        due.insert(.numbered(2), at: WallTime(microseconds: 20))
        due.insert(.numbered(1), at: WallTime(microseconds: 10))
        #expect(due.next == WallTime(microseconds: 10) && !due.isEmpty)
        #expect(due.popDue(now: WallTime(microseconds: 9)) == nil)
        #expect(due.popDue(now: WallTime(microseconds: 10))?.number == 1)
        #expect(due.popDue(now: WallTime(microseconds: 19)) == nil)
        #expect(due.next == WallTime(microseconds: 20))
        #expect(due.removeAll().map(\.number) == [2])
        #expect(due.isEmpty)
    }

    @Test func theEarliestComesFirst() {
        var random = SeededGenerator()
        for _ in 0..<200 {
            var due = DueSchedule()
            var expected: [Int: Int64] = [:]
            var now: Int64 = 0
            for number in 0..<60 {
                if Bool.random(using: &random) {
                    let at = now + Int64.random(in: -5...40, using: &random)
                    due.insert(.numbered(number), at: WallTime(microseconds: at))
                    expected[number] = at
                } else {
                    now += Int64.random(in: 0...10, using: &random)
                    var last = Int64.min
                    while let delivery = due.popDue(now: WallTime(microseconds: now)) {
                        let at = expected.removeValue(forKey: delivery.number) ?? .max
                        #expect(at <= now && at >= last, "seed \(random.seed)")
                        last = at
                    }
                    #expect(expected.values.allSatisfy { $0 > now }, "nothing that is due stays: seed \(random.seed)")
                }
                #expect(due.next?.microseconds == expected.values.min(), "seed \(random.seed)")
            }
            let rest = due.removeAll().map(\.number)
            #expect(rest.sorted() == expected.keys.sorted(), "seed \(random.seed)")
            #expect(rest.compactMap { expected[$0] } == expected.values.sorted(), "seed \(random.seed)")
        }
    }
}
