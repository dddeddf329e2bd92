/// Thrown to refuse the message; made by `TaskContext.reject`.
struct Rejection: Error {
    let requeue: Bool
    let reason: String
}
