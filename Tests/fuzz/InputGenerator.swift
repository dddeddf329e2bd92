import CoppiceShared
import CoppiceTestSupport

/// Makes inputs out of seeds: by exchanging whole JSON values, fields and numbers as well as single bytes, and out of nothing.
struct InputGenerator {
    private var random: SeededGenerator
    private let seeds: [[UInt8]]
    var seed: UInt64 { random.seed }

    init(seeds: [[UInt8]], seed: UInt64) {
        self.seeds = seeds
        random = SeededGenerator(seed: seed)
    }

    /// What breaks readers: limits of numbers, odd times and texts, depth.
    private static let treasures: [String] = [
        "null", "true", "-0", "1e999", "-1e999", "NaN", "-Infinity", "9223372036854775807", "9223372036854775808", "-9223372036854775809",
        "4294967295", "4294967296", "[]", "{}", "[[]]", "\"\"", "\"\\ud800\"", "\"\\udc00\\ud800\"", "\"\\u0000\"", "\"=\"", "\"====\"",
        "\"9999-12-31T23:59:59.999999+00:00\"", "\"0000-01-01T00:00:00+23:59\"", "\"9999-12-31T23:59:59-23:59\"",
        "{\"task\":\"t\",\"id\":\"i\"}", "\"task\":", "\"id\":", "\"eta\":", "\"body_encoding\":\"base64\"", "1.7976931348623157e308",
    ]

    mutating func next() -> [UInt8] {
        var input = seeds.randomElement(using: &random) ?? []
        if Int.random(in: 0..<20, using: &random) == 0 {
            let count = Int.random(in: 0...200, using: &random)
            input = [input.first ?? 0] + (0..<count).map { _ in .random(in: .min ... .max, using: &random) }
        }
        for _ in 0..<Int.random(in: 1...4, using: &random) { mutate(&input) }
        return input
    }

    private mutating func mutate(_ input: inout [UInt8]) {
        guard input.count > 1 else {
            input.append(.random(in: .min ... .max, using: &random))
            return
        }
        let place = Int.random(in: 1..<input.count, using: &random)
        switch Int.random(in: 0..<9, using: &random) {
        case 0: input[place] = .random(in: .min ... .max, using: &random)
        case 1: input[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 2: input.removeSubrange(place..<min(input.count, place + Int.random(in: 1...16, using: &random)))
        case 3: input.insert(contentsOf: input[place..<min(input.count, place + Int.random(in: 1...32, using: &random))], at: place)
        case 4: input.removeSubrange(place...)
        case 5: input.insert(contentsOf: Array((InputGenerator.treasures.randomElement(using: &random) ?? "").utf8), at: place)
        case 6: exchangeValue(&input, from: place)
        case 7:
            // A length or a number of a frame.
            for index in place..<min(input.count, place + 4) { input[index] = [0, 0xFF, 0x7F, 0x80].randomElement(using: &random) ?? 0 }
        default:
            guard let other = seeds.randomElement(using: &random), other.count > 1 else { return }
            let from = Int.random(in: 1..<other.count, using: &random)
            input.replaceSubrange(place..., with: other[from...])
        }
    }

    /// Puts another value, or a deep one, in the place of the JSON value that begins behind the next colon.
    private mutating func exchangeValue(_ input: inout [UInt8], from place: Int) {
        guard let colon = input[place...].firstIndex(of: UInt8(ascii: ":")) else { return }
        var scanner = JSONScanner(input, in: colon + 1..<input.count)
        guard let range = try? scanner.skipValue() else { return }
        var value = Array((InputGenerator.treasures.randomElement(using: &random) ?? "null").utf8)
        if Int.random(in: 0..<8, using: &random) == 0 {
            let depth = Int.random(in: 1...600, using: &random)
            value = [UInt8](repeating: UInt8(ascii: "["), count: depth) + [UInt8](repeating: UInt8(ascii: "]"), count: depth)
        }
        input.replaceSubrange(range, with: value)
    }
}
