/// The numbers of the pipe protocol. docs/PIPE_PROTOCOL.md is its description for a child in any language.
public enum PipeProtocol {
    /// Sent in `hello` and in `ready`; a child that does not speak it exits with `wrongVersionExit`.
    public static let version: UInt16 = 1
    /// The longest frame, in bytes, kind included: above the largest body (32 MiB, a third more in base64) and result (64 MiB).
    public static let maximumFrame = 96 << 20
    /// Whether an encoded frame, its length before it, may be sent.
    public static func fits(_ frame: [UInt8]) -> Bool { frame.count - 4 <= maximumFrame }
    /// The child's descriptor for frames from the master.
    public static let downDescriptor: Int32 = 3
    /// The child's descriptor for frames to the master.
    public static let upDescriptor: Int32 = 4
    /// A child's exit code for a master whose version it does not speak (sysexits' EX_PROTOCOL).
    public static let wrongVersionExit: Int32 = 76
    /// A child's exit code for a frame from the master that is malformed or out of turn (sysexits' EX_DATAERR).
    public static let badFrameExit: Int32 = 65
    /// A child's exit code when its program is wrong, so that no start of it will do (sysexits' EX_CONFIG).
    public static let badWorkerExit: Int32 = 78
    /// A child's exit code when it was started without the pipes (sysexits' EX_USAGE).
    public static let noPipesExit: Int32 = 64
}
