/// Thrown for another attempt; made by `TaskContext.retry`.
struct RetryRequest: Error {
    let delay: Duration?
    let cause: (any Error)?
}
