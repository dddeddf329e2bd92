/// The form of the log.
public enum LogFormat: String, CaseIterable, Sendable {
    /// The journal where standard error leads to it, else `human`.
    case auto
    /// Celery's lines.
    case human
    /// A JSON object a line.
    case json
    /// systemd's journal, with fields. There is no file then.
    case journal
}
