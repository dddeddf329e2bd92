/// Thrown where another attempt would be no use; made by `TaskContext.fail`.
struct FinalFailure: Error {
    let cause: any Error
}
