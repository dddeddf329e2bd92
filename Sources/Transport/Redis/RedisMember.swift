import CoppiceRedis
import CoppiceShared
import CoppiceSystem

/// What a master is to one Redis, as its broker or its ledger: a lease, what it holds, what was revoked, and the dead-letter place's notice.
///
/// It has a connection of its own. A lease must be counted on each second, whatever else there is to be said: behind a result of 60 MB on a
/// line that takes ten seconds for it we would be taken for dead.
final class RedisMember {
    /// Renewals between two looks for what stands under no lease.
    private static let rhythm = 10

    let dialogue: RedisDialogue
    /// What is renewed with the lease.
    var held: Set<String>
    /// Gets `.revoked`, `.gone`, `.orphaned`, `.recovered`, `.notice` and `.lost`.
    var report: (BrokerEvent) -> Void = { _ in }
    /// Called with each renewal's answer, and told whether there was no lease before: the renewal is a proof when it calls back.
    var check: (_ isNew: Bool, _ done: @escaping () -> Void) -> Void = { $1() }
    /// As `BrokerSession.leaseProven` has it.
    private(set) var proven: MonotonicTime?

    private let keys: RedisKeys
    private let leases: RedisLeases
    /// Whether an earlier session of this incarnation may have been told things that it did not pass on.
    private let isSuccessor: Bool
    private(set) var nextRenewal: MonotonicTime?
    private var renewals = 0
    /// The mark of the newest revocation that was reported.
    private var lastRevocation = ""
    private var fullDeadPlace = FullDeadPlace()

    /// - Parameter held: what this incarnation holds from earlier sessions.
    init(_ url: RedisURL, clientName: String, incarnation: Incarnation, held: Set<String> = []) {
        keys = RedisKeys(url)
        self.held = held
        isSuccessor = !incarnation.isFresh
        dialogue = RedisDialogue(RedisConnection(url, clientName: clientName, now: .now))
        leases = RedisLeases(keys: keys, incarnation: incarnation, dialogue: dialogue)
        leases.report = { [unowned self] in report($0) }
    }

    /// The lease's session, as scripts that take messages want it.
    var session: String { leases.session }

    // MARK: joining and leaving

    /// The first steps, when the connection is open: the lease, and what an earlier session left behind. From here on the lease is renewed.
    ///
    /// - Parameters:
    ///   - scripts: further ones to be loaded.
    ///   - known: what this incarnation knows of; anything else that it holds is put back.
    func join(scripts: [RedisScripts.Name] = [], except known: Set<String>, then done: @escaping () -> Void) {
        // INFO may be forbidden; nothing depends on it.
        dialogue.ask(RedisCommand("INFO"), tolerant: true) { [unowned self] in
            let facts = RedisServerFacts(info: $0.text ?? "")
            if let refusal = facts.refusal { report(.lost(refusal)) }
            if let warning = facts.warning { report(.notice(warning)) }
        }
        dialogue.load(RedisScripts.Name.member + scripts) { [unowned self] in
            renew { [unowned self] in
                guard isSuccessor else { return learnRevocations(then: done) }
                leases.reclaim(except: known) { [unowned self] in learnRevocations(then: done) }
            }
        }
        dialogue.flush()
    }

    /// Gives the lease up; but not in the midst of a recovery, which may yet bring what somebody must find: then it runs out.
    func leave(then done: @escaping () -> Void) {
        nextRenewal = nil
        guard !leases.isRecovering else { return done() }
        leases.release(then: done)
        dialogue.flush()
    }

    // MARK: the lease

    /// Returns whether it was time: about once a second.
    func renewIfDue(now: MonotonicTime) -> Bool {
        guard let nextRenewal, nextRenewal <= now else { return false }
        renew()
        return true
    }

    private func renew(then done: @escaping () -> Void = {}) {
        let asked = MonotonicTime.now
        nextRenewal = asked.advanced(by: RedisLeases.interval)
        leases.renew(held) { [unowned self] gone, isNew in
            lost(gone)
            check(isNew) { [unowned self] in
                proven = asked
                done()
            }
            if leases.isWatching, renewals.isMultiple(of: RedisMember.rhythm) { seekLeaseless() }
            renewals += 1
        }
        dialogue.flush()
    }

    /// Others have these by now. What has been settled since the question was asked is not among them.
    private func lost(_ tags: Set<String>) {
        let gone = tags.intersection(held)
        guard !gone.isEmpty else { return }
        held.subtract(gone)
        report(.gone(gone.map { DeliveryTag($0) }))
    }

    /// Start records of incarnations that are long gone. A watcher's business, since it reads those of all nodes.
    private func seekLeaseless() {
        dialogue.ask(RedisCommand("HKEYS", keys.started), for: "HKEYS", as: \.array) { [unowned self] in
            recoverLeaseless($0.compactMap(\.text))
        }
        dialogue.flush()
    }

    /// Puts back, or takes over, what stands under these tags' incarnations where they have no lease.
    func recoverLeaseless(_ tags: [String]) { leases.recoverLeaseless(tags.compactMap(RedisTag.incarnation)) }

    // MARK: revocations and dead letters

    /// Stores ids as revoked. A key that we may not write is no reason to lose the connection.
    func revoke(_ ids: [String]) {
        guard !ids.isEmpty else { return }
        dialogue.ask(RedisRevocations.store(ids, keys), tolerant: true) { [unowned self] in
            if let error = $0.error { report(.notice("a revocation could not be stored: \(RedisFault.explain(error))")) }
        }
        dialogue.flush()
    }

    /// Goes on when everything that was revoked up to a mark has been reported.
    func learnRevocations(upTo newest: String, then done: @escaping () -> Void) {
        if newest.isEmpty || newest == lastRevocation { done() } else { learnRevocations(then: done) }
    }

    private func learnRevocations(then done: @escaping () -> Void) {
        dialogue.ask(RedisRevocations.fetch(after: lastRevocation, keys), for: "ZRANGEBYSCORE", as: \.array) { [unowned self] in
            let found = RedisRevocations.read($0)
            if let newest = found.newest {
                lastRevocation = newest
                report(.revoked(found.ids))
            }
            done()
        }
        dialogue.flush()
    }

    /// Says once that dead messages have to make room.
    func freedBody() {
        if let text = fullDeadPlace.notice() { report(.notice(text)) }
    }
}
