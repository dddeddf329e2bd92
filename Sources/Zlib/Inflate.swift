import CZlib

/// Reads a zlib stream (RFC 1950) or a gzip file (RFC 1952).
public enum Inflate {
    private static let chunk = 1 << 16

    /// - Parameter limit: The most bytes that may come out; a few bytes can claim to be gigabytes.
    public static func bytes(of compressed: [UInt8], limit: Int) throws(InflateError) -> [UInt8] {
        guard let length = UInt32(exactly: compressed.count) else { throw .tooLarge }
        var stream = z_stream()
        guard coppice_inflate_init(&stream) == Z_OK else { throw .outOfMemory }
        defer { inflateEnd(&stream) }
        var out: [UInt8] = []
        var failure: InflateError?
        // zlib keeps both pointers between calls of `inflate`: all of them are made inside these closures. It does not write to
        // its input, though its type says that it may.
        compressed.withUnsafeBufferPointer { input in
            withUnsafeTemporaryAllocation(of: UInt8.self, capacity: chunk) { output in
                stream.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
                stream.avail_in = length
                while true {
                    stream.next_out = output.baseAddress
                    stream.avail_out = UInt32(chunk)
                    let code = inflate(&stream, Z_NO_FLUSH)
                    let count = chunk - Int(stream.avail_out)
                    guard count <= limit - out.count else { return failure = .tooLarge }
                    out.append(contentsOf: output[..<count])
                    switch code {
                    case Z_STREAM_END: return
                    case Z_OK: continue
                    // No progress: there is room to write, so nothing is left to read.
                    case Z_BUF_ERROR: return failure = .truncated
                    case Z_MEM_ERROR: return failure = .outOfMemory
                    default: return failure = .corrupt
                    }
                }
            }
        }
        if let failure { throw failure }
        return out
    }
}
