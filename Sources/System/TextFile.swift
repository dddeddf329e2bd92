import Glibc

/// Small files of text, as the kernel's.
public enum TextFile {
    /// The first MiB of it; nil when it can't be read.
    public static func read(_ path: String) -> String? {
        guard let file = try? Descriptor.open(path, flags: O_RDONLY) else { return nil }
        var bytes: [UInt8] = []
        while bytes.count < 1 << 20 {
            guard let reading = try? file.read(upTo: 1 << 16) else { return nil }
            guard case .bytes(let more) = reading else { break }
            bytes.append(contentsOf: more)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// A file that holds one whole number.
    public static func number(_ path: String) -> Int? {
        read(path).flatMap { text in
            let fields = text.split(whereSeparator: \.isWhitespace)
            return fields.count == 1 ? Int(fields[0]) : nil
        }
    }
}
