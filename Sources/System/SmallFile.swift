/// Files of a few bytes that the kernel or another process of ours writes.
public enum SmallFile {
    private static let limit = 1 << 16

    /// The first 64 KiB; nil if it can't be read.
    public static func text(_ path: String) -> String? {
        guard let file = try? Descriptor.open(path, flags: 0) else { return nil }
        var bytes: [UInt8] = []
        while bytes.count < limit {
            switch try? file.read(upTo: limit - bytes.count) {
            case .bytes(let more): bytes += more
            case .end: return String(decoding: bytes, as: UTF8.self)
            case .wouldBlock, nil: return nil
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// A file that holds one whole number.
    public static func number(_ path: String) -> Int? {
        text(path).flatMap { text in
            let fields = text.split(whereSeparator: \.isWhitespace)
            return fields.count == 1 ? Int(fields[0]) : nil
        }
    }
}
