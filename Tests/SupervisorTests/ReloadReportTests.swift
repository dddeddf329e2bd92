import CoppiceSystem
import Glibc
import Testing

@testable import CoppiceSupervisor

@Suite struct ReloadReportTests {
    private let path = "/tmp/coppice-report-\(getpid())-\(UInt32.random(in: 0 ... .max))"

    private func written(_ text: String) throws -> ReloadReport? {
        let file = try Descriptor.open(path, flags: O_WRONLY | O_CREAT | O_TRUNC)
        defer { unlink(path) }
        _ = try file.write(Array(text.utf8))
        return ReloadReport(path: path)
    }

    @Test func whatIsWrittenIsRead() throws {
        defer { unlink(path) }
        var report = ReloadReport(pid: 4711, started: 5)
        try report.write(to: path)
        #expect(ReloadReport(path: path) == report)
        report.begins()
        try report.write(to: path)
        #expect(ReloadReport(path: path) == report && report.begun == 1 && report.ended == 0)
        report.ends(.failed("the \"new\" worker\ndoes not start"))
        try report.write(to: path)
        #expect(ReloadReport(path: path) == report && report.ended == 1)
        report.begins()
        report.ends(.done)
        try report.write(to: path)
        #expect(ReloadReport(path: path) == report && report.outcome == .done && report.ended == 2)
    }

    @Test func whatIsNoReportIsNone() throws {
        #expect(ReloadReport(path: path) == nil)
        for text in [
            "", "{", "[]", "{}", #"{"version":2,"pid":1,"started":5,"begun":0,"ended":0}"#,
            #"{"version":1,"pid":"1","started":5,"begun":0,"ended":0}"#,
            #"{"version":1,"pid":99999999999,"started":5,"begun":0,"ended":0}"#,
            #"{"version":1,"pid":1,"started":5,"begun":0}"#, #"{"version":1,"pid":1,"begun":0,"ended":0}"#,
        ] { #expect(try written(text) == nil, "\(text)") }
        #expect(try written(#"{"version":1,"pid":1,"started":5,"begun":0,"ended":0,"more":null}"#) == ReloadReport(pid: 1, started: 5))
    }

    @Test func whoeverHasTheNumberNowIsNotMeant() throws {
        let started = try #require(ProcessStatus.startTime(of: getpid()))
        #expect(ReloadReport(pid: getpid(), started: started).isCurrent)
        #expect(!ReloadReport(pid: getpid(), started: started - 1).isCurrent)
    }

    @Test func aFolderThatIsNotThereIsAnError() {
        #expect(throws: SystemError.self) { try ReloadReport(pid: 1, started: 5).write(to: "/proc/none/report") }
    }

    @Test(
        arguments: [
            ("/run/w.pid", "/run/coppice", ["/run/w.pid.reload", "/run/coppice/coppice.reload"]), ("w.pid", nil, ["w.pid.reload"]),
            (nil, "/run/coppice/a:/run/coppice/b", ["/run/coppice/a/coppice.reload"]), (nil, nil, []), (nil, "", []),
            (nil, "relative", []),
        ] as [(String?, String?, [String])])
    func whereItStands(_ pidfile: String?, _ folder: String?, _ places: [String]) {
        #expect(ReloadReport.places(pidfile: pidfile, runtimeDirectory: folder) == places)
    }
}
