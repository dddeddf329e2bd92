/// What makes a frame illegal. Whoever reads one ends its peer: the master kills the child, the child exits.
public enum FrameError: Error, Equatable, Sendable {
    /// The announced length is above the maximum; carries it.
    case tooLong(Int)
    /// The frame has no kind byte.
    case empty
    /// No frame has this kind.
    case unknownKind(UInt8)
    /// A field reaches past the frame's end.
    case truncated
    /// Bytes are left behind the last field.
    case trailing
    /// A text that is not UTF-8.
    case badText
    /// A value that the field does not allow; says which.
    case badValue(String)
}
