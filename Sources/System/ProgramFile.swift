import CLinux
import Glibc

/// An executable as it was when it was named, kept open: what takes its place later, at the same path, is another one.
public struct ProgramFile {
    public let path: String
    private let file: Descriptor?

    /// A file that is not there is found missing when it is started.
    public init(path: String) {
        self.path = path
        let raw = coppice_open_program(path)
        file = raw < 0 ? nil : Descriptor(owning: raw)
    }

    /// The file itself, by which it can be started, if its path does not lead to it any more; nil while it does.
    public var displaced: Descriptor? {
        guard let file else { return nil }
        var own = stat()
        var present = stat()
        guard fstat(file.raw, &own) == 0 else { return nil }
        return stat(path, &present) == 0 && present.st_dev == own.st_dev && present.st_ino == own.st_ino ? nil : file
    }
}
