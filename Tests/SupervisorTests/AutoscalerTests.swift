import CoppiceShared
import CoppiceSystem
import Testing

@testable import CoppiceSupervisor

@Suite struct AutoscalerTests {
    private static let options = ScalingOptions(minimum: 2, maximum: 10, patience: 30, mostPressure: [.cpu: 80, .memory: 10, .io: 80])

    private static func time(_ seconds: Double) -> MonotonicTime { MonotonicTime(nanoseconds: 0).advanced(by: seconds) }

    /// One look at a pool: size, busy, waiting, and what comes of it.
    struct Look: Sendable {
        var size: Int
        var busy: Int
        var waiting: Int
        var pressure: [Pressure.Resource: Double] = [:]
        var wanted: Int
        var hindrance: Pressure.Resource?
    }

    @Test(arguments: [
        // Enough of everything.
        Look(size: 2, busy: 0, waiting: 0, wanted: 2),
        Look(size: 2, busy: 2, waiting: 0, wanted: 2),
        // With the work, at once, as far as allowed.
        Look(size: 2, busy: 2, waiting: 3, wanted: 5),
        Look(size: 2, busy: 1, waiting: 2, wanted: 3),
        Look(size: 2, busy: 2, waiting: 5000, wanted: 10),
        Look(size: 10, busy: 10, waiting: 9, wanted: 10),
        // Not into pressure, and what is there stays.
        Look(size: 4, busy: 4, waiting: 3, pressure: [.memory: 10.01], wanted: 4, hindrance: .memory),
        Look(size: 4, busy: 4, waiting: 3, pressure: [.memory: 10], wanted: 7),
        Look(size: 4, busy: 4, waiting: 3, pressure: [.cpu: 95], wanted: 4, hindrance: .cpu),
        Look(size: 4, busy: 4, waiting: 3, pressure: [.io: 95, .cpu: 20], wanted: 4, hindrance: .io),
        // Pressure is of no interest where nothing would grow.
        Look(size: 10, busy: 10, waiting: 9, pressure: [.memory: 90], wanted: 10),
        Look(size: 4, busy: 1, waiting: 0, pressure: [.memory: 90], wanted: 4),
        // Out of the range, as after a reload: the least and the most are promised.
        Look(size: 1, busy: 1, waiting: 0, wanted: 2),
        Look(size: 1, busy: 1, waiting: 4, pressure: [.memory: 90], wanted: 2, hindrance: .memory),
        Look(size: 12, busy: 12, waiting: 4, wanted: 10),
        Look(size: 12, busy: 0, waiting: 0, wanted: 10),
    ]) func oneLook(_ look: Look) {
        var scaler = Autoscaler(Self.options)
        let situation = Autoscaler.Situation(size: look.size, busy: look.busy, waiting: look.waiting, pressure: look.pressure)
        #expect(scaler.size(in: situation, now: Self.time(5)) == look.wanted)
        #expect(scaler.hindrance == look.hindrance)
    }

    /// Follows what it is told, once a second.
    private static func run(_ scaler: inout Autoscaler, size: Int, busy: (Int) -> Int, seconds: Range<Int>) -> [Int: Int] {
        var size = size
        var changes: [Int: Int] = [:]
        for second in seconds {
            let situation = Autoscaler.Situation(size: size, busy: min(size, busy(second)), waiting: max(0, busy(second) - size))
            let wanted = scaler.size(in: situation, now: time(Double(second)))
            if wanted != size { changes[second] = wanted }
            size = wanted
        }
        return changes
    }

    @Test func idleChildrenGoSlowly() {
        var scaler = Autoscaler(Self.options)
        // A quarter of the spare ones each time, never below the least.
        #expect(
            Self.run(&scaler, size: 10, busy: { _ in 0 }, seconds: 0..<1000) == [30: 8, 60: 6, 90: 5, 120: 4, 150: 3, 180: 2])
    }

    @Test func whatWasBusyInBetweenStays() {
        var scaler = Autoscaler(Self.options)
        // Nine of ten are needed once in each half minute.
        #expect(Self.run(&scaler, size: 10, busy: { $0 % 25 == 24 ? 9 : 0 }, seconds: 0..<300) == [30: 9])
    }

    @Test func fullEmploymentStartsThePatienceAnew() {
        var scaler = Autoscaler(Self.options)
        #expect(Self.run(&scaler, size: 4, busy: { $0 == 29 ? 4 : 0 }, seconds: 0..<61) == [60: 3])
    }

    @Test func workAfterAShrinkGrowsAtOnce() {
        var scaler = Autoscaler(Self.options)
        #expect(Self.run(&scaler, size: 4, busy: { $0 == 31 ? 7 : 0 }, seconds: 0..<40) == [30: 3, 31: 7])
    }

    /// Whatever comes: inside the range, never smaller than what is at work, never larger than the work or what there was.
    @Test func noSizeOutOfBounds() throws {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<300 {
            var scaler = Autoscaler(Self.options)
            var size = 2
            var now = 0.0
            for _ in 0..<80 {
                now += Double.random(in: 0.5...40, using: &random)
                let busy = Int.random(in: 0...size, using: &random)
                let waiting = busy == size ? Int.random(in: 0...20, using: &random) : 0
                let memory = Double.random(in: 0...20, using: &random)
                let wanted = scaler.size(
                    in: .init(size: size, busy: busy, waiting: waiting, pressure: [.memory: memory]), now: Self.time(now))
                try #require((2...10).contains(wanted))
                try #require(wanted >= min(busy, 10))
                if wanted > size { try #require(memory <= 10 && wanted <= busy + waiting) }
                size = wanted
            }
        }
    }
}
