import CoppiceShared
import Glibc

/// State behind a lock, with a way to wait for it to change.
///
/// Unchecked, because the compiler can't see it: `state` is touched only between `pthread_mutex_lock` and `…_unlock`. The two C
/// objects stand at addresses of their own, since they must not move, and live as long as the monitor.
public final class Monitor<State>: @unchecked Sendable {
    @usableFromInline let mutex: UnsafeMutablePointer<pthread_mutex_t>
    @usableFromInline let condition: UnsafeMutablePointer<pthread_cond_t>
    @usableFromInline var state: State

    public init(_ state: sending State) {
        self.state = state
        mutex = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        pthread_mutex_init(mutex, nil)
        condition = .allocate(capacity: 1)
        condition.initialize(to: pthread_cond_t())
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(condition)
        condition.deallocate()
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    @inlinable
    public func withLock<Value>(_ body: (inout State) throws -> Value) rethrows -> Value {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body(&state)
    }

    /// Wakes all that wait. Call it after a change for which somebody may be waiting; it is no system call if nobody does.
    @inlinable
    public func broadcast() { pthread_cond_broadcast(condition) }

    /// What a waiter found when it looked at the state.
    public enum Look<Value> {
        case found(Value)
        /// Look again after a broadcast.
        case wait
        /// Look again after a broadcast, or then.
        case waitUntil(MonotonicTime)
    }

    /// Looks at the state, under the lock, until there is something to return.
    @inlinable
    public func wait<Value>(_ look: (inout State) -> Look<Value>) -> Value {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while true {
            switch look(&state) {
            case .found(let value): return value
            case .wait: pthread_cond_wait(condition, mutex)
            case .waitUntil(let deadline):
                var time = timespec()
                time.tv_sec = Int(deadline.nanoseconds / 1_000_000_000)
                time.tv_nsec = Int(deadline.nanoseconds % 1_000_000_000)
                pthread_cond_timedwait(condition, mutex, &time)
            }
        }
    }
}
