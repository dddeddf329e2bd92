/// A line that a child has written to its standard output or error.
struct OutputLine {
    var stream: ChildOutput.Stream
    var text: String
    /// Whose it is; 0: no task's.
    var assignment: UInt64
}
