/// Thrown to end without a result; made by `TaskContext.ignore`.
struct IgnoredResult: Error {}
