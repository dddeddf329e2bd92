import Glibc
import Testing

@testable import CoppiceSystem

@Suite struct CgroupReadingsTests {
    /// A tree of files, gone with the test.
    private final class Tree {
        let root: String
        private var made: [String] = []

        init(_ files: [String: String]) throws {
            root = "/tmp/coppice-cgroup-\(getpid())-\(UInt32.random(in: 0 ... .max))"
            make(root)
            for (path, text) in files {
                var folder = root
                for part in path.split(separator: "/").dropLast() {
                    folder += "/" + part
                    make(folder)
                }
                let file = try Descriptor.open("\(root)/\(path)", flags: O_WRONLY | O_CREAT)
                made.append("\(root)/\(path)")
                _ = try file.write(Array(text.utf8))
            }
        }

        private func make(_ folder: String) {
            if mkdir(folder, 0o700) == 0 { made.append(folder) }
        }

        deinit { for path in made.reversed() { remove(path) } }
    }

    @Test func theTightestQuotaUpTheTreeCounts() throws {
        let tree = try Tree([
            "cpu.max": "max 100000\n", "system.slice/cpu.max": "150000 100000\n", "system.slice/a.service/cpu.max": "400000 100000\n",
            "system.slice/b.service/cpu.max": "max 100000\n", "system.slice/c.service/cpu.max": "50000 100000\n",
        ])
        func quota(_ path: String) -> Double? { CgroupReadings(root: tree.root, membership: "0::\(path)\n").processorQuota }
        #expect(quota("/system.slice/a.service") == 1.5)
        #expect(quota("/system.slice/b.service") == 1.5)
        #expect(quota("/system.slice/c.service") == 0.5)
        #expect(quota("/") == nil)
        // The host's name for it, in a container.
        #expect(quota("/docker/4711") == nil)
        #expect(quota("/../../system.slice/a.service") == nil)
    }

    @Test func versionOneIsReadToo() throws {
        let tree = try Tree([
            "cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n", "cpu/box/cpu.cfs_quota_us": "250000\n",
            "cpu/box/cpu.cfs_period_us": "100000\n",
        ])
        let membership = "12:cpuacct:/\n5:cpu:/box\n1:name=systemd:/box\n0::/\n"
        #expect(CgroupReadings(root: tree.root, membership: membership).processorQuota == 2.5)
        #expect(CgroupReadings(root: tree.root, membership: "5:cpu:/\n").processorQuota == nil)
        let joint = try Tree(["cpu,cpuacct/cpu.cfs_quota_us": "120000", "cpu,cpuacct/cpu.cfs_period_us": "100000"])
        #expect(CgroupReadings(root: joint.root, membership: "3:cpu,cpuacct:/gone\n").processorQuota == 1.2)
    }

    @Test(arguments: ["", "max", "100000", "0 100000", "-5 100000", "100000 0", "a b", "100000 100000 100000", "99999999999999999999 1"])
    func nonsenseIsNoQuota(_ text: String) throws {
        let tree = try Tree(["cpu.max": text])
        #expect(CgroupReadings(root: tree.root, membership: "0::/\n").processorQuota == nil)
    }

    @Test(arguments: ["", "0", "0:", "::", "0::", "x\ny:z\n"]) func nonsenseIsNoMembership(_ text: String) {
        #expect(CgroupReadings(root: "/nonexistent", membership: text).processorQuota == nil)
    }

    @Test(
        arguments: [
            (8, nil, 8), (8, 2.0, 2), (8, 1.1, 2), (8, 0.1, 1), (2, 16.0, 2), (1, 0.5, 1), (0, nil, 1), (4, 1e300, 4),
        ] as [(Int, Double?, Int)])
    func concurrencyIsTheQuotaRoundedUpWithinTheAffinity(_ affinity: Int, _ quota: Double?, _ count: Int) {
        #expect(CurrentProcess.processorCount(affinity: affinity, quota: quota) == count)
    }

    /// The master has moved into a leaf, as under systemd; its children are in others, and the unit's group has the limits.
    @Test func theHighestPressureUpTheTreeCounts() throws {
        func text(_ some: Double, _ full: Double) -> String {
            "some avg10=\(some) avg60=1.00 total=5\nfull avg10=\(full) avg60=0.00 total=1\n"
        }
        let tree = try Tree([
            "memory.pressure": text(0, 0), "a/memory.pressure": text(12.5, 3.25), "a/supervisor/memory.pressure": text(0, 0),
            "a/quiet/memory.pressure": "none", "a/busy/memory.pressure": text(11, 4), "unified/b/memory.pressure": text(7, 1),
        ])
        func pressure(_ path: String) -> Pressure? {
            CgroupReadings(root: tree.root, membership: "0::\(path)\n").pressure(on: .memory)
        }
        for path in ["/a", "/a/supervisor", "/a/quiet", "/a/not-there"] {
            #expect(pressure(path) == Pressure(some: 12.5, full: 3.25), "\(path)")
        }
        #expect(pressure("/a/busy") == Pressure(some: 12.5, full: 4))
        #expect(pressure("/b") == Pressure(some: 7, full: 1))
        #expect(CgroupReadings(root: tree.root, membership: "0::/a\n").pressure(on: .cpu) == nil)
    }

    @Test func pressureFiles() {
        // Before Linux 5.13 there is no second line for the CPU.
        #expect(Pressure("some avg10=96.20 avg60=46.40 avg300=13.53 total=10812508818\n") == Pressure(some: 96.2, full: 0))
        for text in ["", "some", "some avg10=", "full avg10=1.0 total=1", "some avg10=nan", "some avg60=1.0"] {
            #expect(Pressure(text) == nil)
        }
    }
}
