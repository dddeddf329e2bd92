/// What becomes of a task that takes its process along, time and again.
public struct PoisonOptions: Sendable {
    /// At so many deaths a task is set aside, from 1. The task's own `max_deaths` goes before it.
    public var mostDeaths = 3
    /// Bytes of data that a child may have while it runs a task of which an attempt has died; nil: as many as for any task.
    public var suspectMemory: Int?

    public init() {}
}
