import Testing

@testable import CoppiceSupervisor

/// What only the master could do wrong is a trap with a sentence, in each state in which it would be wrong. A process each.
@Suite struct OutOfTurnTests {
    struct Wrong: Codable, Sendable, CustomTestStringConvertible {
        var way: [DeliveryLifecycleTests.Event]
        var event: DeliveryLifecycleTests.Event
        var testDescription: String { "\(event) after \(way.last.map { "\($0)" } ?? "nothing")" }
    }

    private static let wrong: [Wrong] = DeliveryLifecycleTests.ways.flatMap { way in
        let legal = DeliveryLifecycleTests.legal(after: way)
        return DeliveryLifecycleTests.Event.allCases.filter { legal[$0] == nil }.map { Wrong(way: way, event: $0) }
    }

    @Test(arguments: wrong) func aDelivery(_ wrong: Wrong) async {
        await #expect(processExitsWith: .failure) { [wrong = wrong as Wrong] in
            var life = DeliveryLifecycleTests.make(wrong.way)
            wrong.event.apply(to: &life)
        }
    }

    @Test func aChildIsHandedWorkOnlyWhileItWorks() async {
        await #expect(processExitsWith: .failure) {
            var life = ChildLifecycle()
            life.handed(1)
        }
        await #expect(processExitsWith: .failure) {
            var life = ChildLifecycle()
            _ = life.ready()
            _ = life.stop()
            life.handed(1)
        }
        await #expect(processExitsWith: .failure) {
            var life = ChildLifecycle()
            _ = life.ready()
            _ = life.kill(.silent)
            life.handed(1)
        }
    }

    @Test func aChildEndsOnce() async {
        await #expect(processExitsWith: .failure) {
            var life = ChildLifecycle()
            _ = life.ended()
            _ = life.ended()
        }
    }
}
