/// What is tried.
struct TuneSetting: Hashable {
    var concurrency: Int
    var prefetch: Int

    var flags: String { "--concurrency \(concurrency) --prefetch-multiplier \(prefetch)" }

    /// One child, two, as many as there are processors, and twice as many.
    static func concurrencies(processors: Int) -> [Int] { Array(Set([1, 2, processors, 2 * processors])).sorted() }
    static let prefetches = [1, 4, 16]
}
