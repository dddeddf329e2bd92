/// How a process ended.
public enum ProcessEnd: Equatable, Sendable {
    case exit(Int32)
    case signal(Int32)
}
