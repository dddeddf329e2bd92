/// In which order a broker gives messages of different priorities, and a master hands them out.
public enum PriorityOrder: Equatable, Sendable {
    /// In kombu's way: the steps in ascending order. A priority belongs to the highest step that is not above it.
    case lowestFirst(steps: [Int])
    /// In AMQP's way: 255 comes first, each priority by itself.
    case highestFirst

    /// kombu's four steps.
    public static let kombu = PriorityOrder.lowestFirst(steps: [0, 3, 6, 9])

    /// A number for a priority's place in the order: what has a lower one comes first, what has the same one as it has come.
    public func rank(of priority: Int) -> Int {
        switch self {
        case .lowestFirst(let steps): steps.lastIndex { $0 <= priority } ?? 0
        case .highestFirst: -priority
        }
    }
}
