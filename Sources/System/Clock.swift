import CLinux
import CoppiceShared
import Glibc

extension MonotonicTime {
    public static var now: MonotonicTime {
        var value = timespec()
        clock_gettime(CLOCK_MONOTONIC, &value)
        return MonotonicTime(nanoseconds: Int64(value.tv_sec) * 1_000_000_000 + Int64(value.tv_nsec))
    }
}

extension WallTime {
    public static var now: WallTime {
        var value = timespec()
        clock_gettime(CLOCK_REALTIME, &value)
        return WallTime(microseconds: Int64(value.tv_sec) * 1_000_000 + Int64(value.tv_nsec) / 1000)
    }
}
