import CoppiceShared

/// Tells which of the served places have something to be taken, as far as bells, takes and looks have told.
///
/// A take asks only for places that are ready, so that it costs the same with one queue and with thousands. Every other place is quiet,
/// and has been looked at since a message was last taken from it: that look hung its bell (`RedisScripts.look`). So what comes into a
/// place makes it ready, whenever it comes. Places are those of `RedisServedLists`, by their numbers.
struct RedisDoorbell {
    /// Places in one look, and in one turn of the round.
    static let batch = 512
    /// How long before its time a parked message is taken, in seconds; a little more than the time between two turns.
    static let horizon = 1.2

    private enum State { case ready, asked, unlooked, looking, quiet }

    private let served: RedisServedLists
    /// Whether lists of one priority are emptied in the order of their numbers; else they take turns.
    private let isStrict: Bool
    private let numbers: [String: Int]
    private var states: [State]
    /// The ready ones, in the order in which they are asked: first parked sets that are due, then lists by priority.
    private var lines: [[Int]]
    private let lineOfPlace: [Int]
    /// To be looked at: lists at once; parked sets with the next turn, since what is parked now is not due before the turn after it.
    private var unlookedLists: [Int] = []
    private var unlookedSets: [Int] = []
    /// When the first message of a parked set comes due; of sets that have one.
    private var due: [Int: MonotonicTime] = [:]
    /// Where the round is that looks at quiet places without having been told.
    private var cursor = 0

    init(_ served: RedisServedLists, isStrict: Bool = false) {
        self.served = served
        self.isStrict = isStrict
        var lineOfStep: [Int: Int] = [:]
        lineOfPlace = served.places.map { place in
            guard let step = place.step else { return 0 }
            let line = lineOfStep[step] ?? lineOfStep.count + 1
            lineOfStep[step] = line
            return line
        }
        lines = Array(repeating: [], count: lineOfStep.count + 1)
        var numbers: [String: Int] = [:]
        for (number, place) in served.places.enumerated() { numbers[place.key] = number }
        self.numbers = numbers
        states = Array(repeating: .quiet, count: served.places.count)
        ringAll()
    }

    var hasReady: Bool { lines.contains { !$0.isEmpty } }

    // MARK: bells

    /// A place has been written to.
    mutating func ring(_ key: String) {
        guard let place = numbers[key] else { return }
        switch states[place] {
        case .quiet, .looking: if isList(place) { becomeReady(place) } else { wantLook(place) }
        // Will be looked at, or asked, or both.
        case .ready, .asked, .unlooked: break
        }
    }

    /// The server has forgotten all bells.
    mutating func ringAll() {
        for place in states.indices where states[place] == .quiet || states[place] == .looking { wantLook(place) }
    }

    // MARK: takes

    /// The places that the next take asks: no more parked sets, and no more lists, than it wants messages.
    mutating func choose(upTo count: Int) -> [Int] {
        var chosen = Array(lines[0].prefix(count))
        lines[0].removeFirst(chosen.count)
        var left = count
        for line in lines.indices.dropFirst() where left > 0 {
            let part = lines[line].prefix(left)
            chosen += part
            left -= part.count
            lines[line].removeFirst(part.count)
        }
        for place in chosen { states[place] = .asked }
        return chosen
    }

    /// After a take: a place that has more stands behind all that were not asked. Where all were, the first is the last at the next one,
    /// since the first ones may have given one message more.
    ///
    /// - Parameter hasMore: whether there may be more, one a place.
    mutating func asked(_ places: [Int], hasMore: [Bool]) {
        let wereAllAsked = lines.map(\.isEmpty)
        var first: [Int: Int] = [:]
        for (place, more) in zip(places, hasMore) {
            let line = lineOfPlace[place]
            if !more {
                wantLook(place)
            } else if wereAllAsked[line], first[line] == nil {
                first[line] = place
            } else {
                becomeReady(place)
            }
        }
        for place in first.values { becomeReady(place) }
    }

    /// Nothing was asked after all.
    mutating func notAsked(_ places: [Int]) {
        for place in places.reversed() {
            states[place] = .ready
            lines[lineOfPlace[place]].insert(place, at: 0)
        }
    }

    // MARK: looks

    /// Lists that have to be looked at now, before they are quiet.
    mutating func listsToLook() -> [Int] {
        defer { unlookedLists.removeAll(keepingCapacity: true) }
        for place in unlookedLists { states[place] = .looking }
        return unlookedLists
    }

    /// Parked sets to be looked at.
    mutating func setsToLook() -> [Int] {
        defer { unlookedSets.removeAll(keepingCapacity: true) }
        for place in unlookedSets { states[place] = .looking }
        return unlookedSets
    }

    /// After a look. A place that was rung for meanwhile is not quiet.
    ///
    /// - Parameter found: places that are not empty, and in how many seconds the first message of a parked set is due.
    mutating func looked(at places: [Int], found: [Int: Double], now: MonotonicTime) {
        for place in places where states[place] == .looking {
            states[place] = .quiet
            if isList(place) {
                if found[place] != nil { becomeReady(place) }
            } else {
                due[place] = found[place].map { now.advanced(by: $0) }
            }
        }
        release(now: now)
    }

    // MARK: turns

    /// Once a second.
    mutating func turn(now: MonotonicTime, hearsBells: Bool) {
        if !hearsBells { for place in due.keys where states[place] == .quiet { wantLook(place) } }
        release(now: now)
    }

    private mutating func release(now: MonotonicTime) {
        guard !due.isEmpty else { return }
        let latest = now.advanced(by: RedisDoorbell.horizon)
        for (place, time) in due.sorted(by: { $0.value < $1.value }) where time <= latest {
            due[place] = nil
            if states[place] == .quiet { becomeReady(place) }
        }
    }

    /// Some of the quiet places of which nothing is known to be there, all of them in turn: should one not be empty, its bell was lost.
    mutating func round() -> [Int] {
        let end = min(cursor + RedisDoorbell.batch, states.count)
        defer { cursor = end == states.count ? 0 : end }
        return (cursor..<end).filter { states[$0] == .quiet && due[$0] == nil }
    }

    /// Something is there in places that were thought empty.
    mutating func missed(_ places: [Int]) {
        for place in places where states[place] == .quiet { wantLook(place) }
    }

    private func isList(_ place: Int) -> Bool { place < served.lists }

    private mutating func becomeReady(_ place: Int) {
        states[place] = .ready
        let line = lineOfPlace[place]
        let end = lines[line].endIndex
        lines[line].insert(place, at: isStrict ? lines[line].firstIndex { $0 > place } ?? end : end)
    }

    private mutating func wantLook(_ place: Int) {
        states[place] = .unlooked
        if isList(place) { unlookedLists.append(place) } else { unlookedSets.append(place) }
    }
}
