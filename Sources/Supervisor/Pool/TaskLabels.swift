import DequeModule

/// The labels of what a child has in hand, and of what it had lately: its lines may be read after the end of their task.
struct TaskLabels {
    private var labels: Deque<TaskLabel> = []

    /// A hand of which all has ended since the output was read last, the next one, and some.
    private static let limit = 3 * (1 + Pool.mostAhead)

    subscript(assignment: UInt64) -> TaskLabel? { labels.last { $0.assignment == assignment } }

    mutating func append(_ label: TaskLabel) {
        if labels.count == TaskLabels.limit { labels.removeFirst() }
        labels.append(label)
    }
}
