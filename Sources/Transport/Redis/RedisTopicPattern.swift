/// A topic binding's pattern: the regular expression that kombu makes of words, `*` and `#`, and stores (celery-wire §2.5). No more of
/// regular expressions is understood than what kombu writes.
struct RedisTopicPattern: Equatable {
    private enum Piece: Equatable {
        case byte(UInt8)
        /// `[^\.]+`; in the one-byte form `[^\.]`, which older releases write behind `.*?`, exactly one.
        case word
        case wordByte
        /// `.*?`
        case anything
    }

    private var pieces: [Piece] = []

    /// nil for what kombu would not have written.
    init?(_ stored: String) {
        var rest = Array(stored.utf8)[...]
        func take(_ text: StaticString) -> Bool {
            guard text.withUTF8Buffer({ rest.starts(with: $0) }) else { return false }
            rest = rest.dropFirst(text.utf8CodeUnitCount)
            return true
        }
        guard take("^"), rest.popLast() == UInt8(ascii: "$") else { return nil }
        while !rest.isEmpty {
            if take("[^\\.]+") {
                pieces.append(.word)
            } else if take("[^\\.]") {
                pieces.append(.wordByte)
            } else if take(".*?") {
                pieces.append(.anything)
            } else if take("\\") {
                guard let escaped = rest.popFirst(), !RedisTopicPattern.isAlphanumeric(escaped) else { return nil }
                pieces.append(.byte(escaped))
            } else if let byte = rest.popFirst() {
                guard !"^$.|?*+()[]{}".utf8.contains(byte) else { return nil }
                pieces.append(.byte(byte))
            }
        }
    }

    /// The form in which kombu stores a binding key.
    static func stored(_ key: String) -> String {
        let words = key.split(separator: ".", omittingEmptySubsequences: false).map { word -> String in
            switch word {
            case "*": "[^\\.]+"
            case "#": ".*?"
            default:
                String(
                    decoding: word.utf8.flatMap {
                        isAlphanumeric($0) || $0 == UInt8(ascii: "_") || $0 >= 0x80 ? [$0] : [UInt8(ascii: "\\"), $0]
                    },
                    as: UTF8.self)
            }
        }
        return "^" + words.joined(separator: "\\.") + "$"
    }

    /// Goes through the key once, with all places of the pattern at which a match may stand: its time is bounded by the product of both.
    func matches(_ key: String) -> Bool {
        var places = [Bool](repeating: false, count: pieces.count + 1)
        places[0] = true
        skip(&places)
        for byte in key.utf8 {
            var next = [Bool](repeating: false, count: pieces.count + 1)
            for (index, piece) in pieces.enumerated() where places[index] {
                switch piece {
                case .byte(let wanted): if byte == wanted { next[index + 1] = true }
                case .wordByte: if byte != UInt8(ascii: ".") { next[index + 1] = true }
                case .word:
                    if byte != UInt8(ascii: ".") {
                        next[index] = true
                        next[index + 1] = true
                    }
                case .anything: next[index] = true
                }
            }
            skip(&next)
            places = next
        }
        return places[pieces.count]
    }

    /// `anything` may be nothing.
    private func skip(_ places: inout [Bool]) {
        for (index, piece) in pieces.enumerated() where piece == .anything && places[index] { places[index + 1] = true }
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"): true
        default: false
        }
    }
}
