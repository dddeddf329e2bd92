import CoppiceRedis
import CoppiceShared
import CoppiceSystem
import Testing

@testable import CoppiceTransport

/// Which places a take asks.
@Suite struct RedisDoorbellTests {
    private let served: RedisServedLists
    private var bell: RedisDoorbell
    private let start = MonotonicTime.now

    init() {
        let keys = RedisKeys(RedisURL(endpoint: .unix(path: "/")))
        served = RedisServedLists(["a", "b", "c"], keys: keys, incarnation: Incarnation())
        bell = RedisDoorbell(served)
    }

    /// The first look at everything.
    private mutating func look(found: [String: Double] = [:]) {
        let places = bell.listsToLook() + bell.setsToLook()
        var numbers: [Int: Double] = [:]
        for place in places { numbers[place] = found[served.places[place].key] }
        bell.looked(at: places, found: numbers, now: start)
    }

    private func names(_ places: [Int]) -> [String] { places.map { served.places[$0].key } }

    @Test mutating func everythingIsLookedAtFirst() {
        #expect(!bell.hasReady)
        look(found: ["b": 0])
        #expect(bell.listsToLook().isEmpty && bell.setsToLook().isEmpty)
        #expect(names(bell.choose(upTo: 10)) == ["b"])
        #expect(!bell.hasReady)
    }

    @Test mutating func prioritiesComeInTheirOrderWhicheverRangFirst() {
        look()
        for key in ["a\u{06}\u{16}9", "a\u{06}\u{16}3", "b", "c"] { bell.ring(key) }
        #expect(names(bell.choose(upTo: 10)) == ["b", "c", "a\u{06}\u{16}3", "a\u{06}\u{16}9"])
    }

    @Test(arguments: [(2, ["ab", "ca", "bc", "ab"]), (4, ["abc", "bca", "cab", "abc"])])
    mutating func eachHasItsTurn(count: Int, expected: [String]) {
        look(found: ["a": 0, "b": 0, "c": 0])
        var order: [String] = []
        for _ in 0..<4 {
            let places = bell.choose(upTo: count)
            order.append(names(places).joined())
            bell.asked(places, hasMore: places.map { _ in true })
        }
        #expect(order == expected)
    }

    @Test mutating func whereListsAreEmptiedInTheirOrderTheFirstComesFirst() {
        bell = RedisDoorbell(served, isStrict: true)
        look(found: ["b": 0, "c": 0])
        let places = bell.choose(upTo: 2)
        #expect(names(places) == ["b", "c"])
        bell.asked(places, hasMore: [true, true])
        bell.ring("a")
        #expect(names(bell.choose(upTo: 3)) == ["a", "b", "c"])
    }

    @Test mutating func whatWasEmptiedIsLookedAtBeforeItIsQuiet() {
        look(found: ["a": 0])
        let places = bell.choose(upTo: 1)
        // A bell of an earlier look rings late.
        bell.ring("a")
        bell.asked(places, hasMore: [false])
        #expect(!bell.hasReady)
        let looking = bell.listsToLook()
        #expect(names(looking) == ["a"])
        // It rings before the look's answer is here.
        bell.ring("a")
        bell.looked(at: looking, found: [:], now: start)
        #expect(bell.hasReady)
    }

    @Test mutating func whatWasNotAskedStaysInFront() {
        look(found: ["a": 0, "b": 0])
        bell.notAsked(bell.choose(upTo: 1))
        #expect(names(bell.choose(upTo: 2)) == ["a", "b"])
    }

    @Test mutating func aParkedSetIsReadyInTime() {
        look(found: ["coppice.parked.b": 5])
        bell.turn(now: start.advanced(by: 3.7), hearsBells: true)
        #expect(!bell.hasReady)
        bell.turn(now: start.advanced(by: 3.9), hearsBells: true)
        #expect(names(bell.choose(upTo: 3)) == ["coppice.parked.b"])
    }

    @Test mutating func aParkedSetThatIsWrittenToIsLookedAtWithTheNextTurn() {
        look(found: ["coppice.parked.b": 5])
        bell.ring("coppice.parked.b")
        #expect(!bell.hasReady && bell.listsToLook().isEmpty)
        let sets = bell.setsToLook()
        #expect(names(sets) == ["coppice.parked.b"])
        bell.looked(at: sets, found: [sets[0]: 1], now: start)
        #expect(bell.hasReady, "due before the turn after the next")
    }

    @Test mutating func whoHearsNoBellsLooksAtWhatIsParkedEachTurn() {
        look(found: ["coppice.parked.b": 50])
        bell.turn(now: start, hearsBells: false)
        #expect(names(bell.setsToLook()) == ["coppice.parked.b"])
    }

    @Test mutating func allBellsAreHungAgainWhenTheServerHasForgottenThem() {
        look()
        bell.ringAll()
        #expect(bell.listsToLook().count == 12 && bell.setsToLook().count == 3)
    }

    @Test mutating func theRoundComesByEveryQuietPlace() {
        look(found: ["a": 0, "coppice.parked.c": 9])
        let round = bell.round()
        #expect(round.count == served.places.count - 2)
        bell.missed([round[0]])
        #expect(names(bell.listsToLook()) == ["b"])
    }
}
