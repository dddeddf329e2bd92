import Testing

@testable import CoppiceSupervisor

@Suite struct ChildEnvironmentTests {
    private static let parent = [
        "PATH=/bin", "HOME=/h", "LANG=C", "LC_ALL=C", "TZ=UTC", "TMPDIR=/t", "USER=u", "MY_VAR=1=2", "REDIS_PASSWORD=secret",
        "CELERY_BROKER_URL=redis://:secret@h", "COPPICE_BROKER=secret", "BROKER_URL=secret", "AMQP_URL=secret", "RABBITMQ_PASS=secret",
        "ODD",
    ]
    private static let quiet = "SWIFT_BACKTRACE=enable=no"
    private static let unlogged = "LIBDISPATCH_LOG=NO"

    private func entries(_ names: [String], timeZone: String? = nil) -> [String] {
        ChildEnvironment(parent: Self.parent, names: names, timeZone: timeZone).entries
    }

    @Test func aShortList() {
        #expect(entries([]) == ["PATH=/bin", "HOME=/h", "LANG=C", "LC_ALL=C", "TZ=UTC", "TMPDIR=/t", Self.quiet, Self.unlogged])
    }

    @Test func whatTheOperatorNames() {
        #expect(entries(["MY_VAR", "NOT_SET"]).contains("MY_VAR=1=2"))
        #expect(!entries(["MY"]).contains("MY_VAR=1=2"))
        #expect(!entries(["SWIFT_BACKTRACE"]).contains(Self.quiet))
        #expect(!entries(["LIBDISPATCH_LOG"]).contains(Self.unlogged))
    }

    @Test func crashReportsAreSwitchedOnWithoutTerminalOrColour() throws {
        let reporting = ChildEnvironment(parent: ["SWIFT_BACKTRACE=mine"], names: [], timeZone: nil, backtraces: true).entries
        let setting = try #require(reporting.first { $0.hasPrefix("SWIFT_BACKTRACE=") })
        for part in ["enable=yes", "interactive=no", "color=no", "output-to=stderr"] { #expect(setting.contains(part)) }
        let mine = ChildEnvironment(parent: ["SWIFT_BACKTRACE=mine"], names: ["SWIFT_BACKTRACE"], timeZone: nil, backtraces: true).entries
        #expect(mine == ["SWIFT_BACKTRACE=mine", Self.unlogged])
    }

    @Test func aWayToTheBrokerIsRefusedWhoeverAsks() {
        let names = Self.parent.map { String($0.prefix { $0 != "=" }) }
        let all = entries(names)
        #expect(!all.contains { $0.contains("secret") })
        #expect(all.contains("USER=u"))
        #expect(names.filter(ChildEnvironment.isRefused).count == 6)
    }

    @Test(arguments: [[], ["TZ"]]) func theNodesTimeZoneReplacesTheInheritedOne(_ names: [String]) {
        #expect(entries(names, timeZone: "Asia/Shanghai").filter { $0.hasPrefix("TZ=") } == ["TZ=Asia/Shanghai"])
    }
}
