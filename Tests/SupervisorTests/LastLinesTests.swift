import Testing

@testable import CoppiceSupervisor

@Suite struct LastLinesTests {
    private func lines(_ last: LastLines) -> [String] { last.lines(of: nil) }

    @Test func aTasksAreItsOwnAndNobodys() {
        var last = LastLines()
        last.append("at the start", of: [])
        last.append("one's", of: [1])
        last.append("one's or two's", of: [1, 2])
        last.append("two's", of: [2])
        #expect(last.lines(of: 2) == ["at the start", "one's or two's", "two's"])
        #expect(last.lines(of: 3) == ["at the start"])
        #expect(last.lines(of: nil) == ["at the start"])
    }

    @Test func theOldestGo() {
        var last = LastLines()
        for number in 0..<50 { last.append("\(number)", of: []) }
        #expect(lines(last) == (30..<50).map(String.init))
    }

    @Test func theyAreBoundedInBytesToo() {
        var last = LastLines()
        for number in 0..<20 { last.append("\(number)" + String(repeating: "é", count: 450), of: []) }
        #expect(lines(last).count == 4)
        #expect(lines(last).last?.hasPrefix("19") == true)
        last.append(String(repeating: "x", count: 1_000_000), of: [])
        #expect(lines(last).last?.utf8.count == LastLines.longestLine + 3)
        #expect(lines(last).reduce(0) { $0 + $1.utf8.count } <= LastLines.mostBytes)
    }

    @Test func aReportIsKeptFromItsBeginning() {
        var last = LastLines()
        for number in 0..<30 { last.append("before \(number)", of: []) }
        last.beginReport()
        for number in 0..<1000 { last.append("frame \(number)", of: []) }
        #expect(lines(last).first == "before 10")
        #expect(lines(last)[20] == "frame 0")
        #expect(lines(last).count == LastLines.mostReportLines)
        for _ in 0..<1000 { last.append(String(repeating: "y", count: 1000), of: []) }
        #expect(lines(last).reduce(0) { $0 + $1.utf8.count } <= LastLines.mostReportBytes)
    }
}
