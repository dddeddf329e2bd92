import CoppiceEventLoop
import CoppiceSystem

/// What children print, line by line, with the task whose it is.
///
/// A child that marks its output says so itself. For what bypasses the marks (a write of the task's own to descriptor 1, a process that it
/// has started, a child that does not mark) it is the task that runs as far as has been heard, and so the output is read before frames are.
extension Pool {
    /// What is read before frames are. More waits as a flood does, and costs nobody the master's attention.
    private static let shortOutput = 1 << 14
    /// More than a pipe holds.
    private static let wholePipe = 1 << 20

    func watchOutput(of child: Child) throws(SystemError) {
        for output in child.outputs {
            output.source = try loop.watch(output.descriptor, for: .read, priority: LoopPriority.childOutput) {
                [unowned self, weak child] _ in
                if let child { readOutput(output, of: child) }
            }
        }
    }

    /// To be called before frames are read: what was printed before they were written is in the pipe, and the loop knows of it.
    func readPendingOutput(of child: Child) {
        for output in child.outputs where output.source?.isPending == true { readOutput(output, of: child, limit: Pool.shortOutput) }
    }

    /// The child is gone: what it has left.
    func readLastOutput(of child: Child) {
        for output in child.outputs {
            readOutput(output, of: child, limit: Pool.wholePipe)
            output.finish { say($0, $1, output, child) }
        }
    }

    /// A task has ended: the beginning of a line that nobody has marked is its last.
    func endOutput(of child: Child, _ assignment: UInt64) {
        for output in child.outputs where output.owner == 0 { output.finish { text, _ in say(text, assignment, output, child) } }
    }

    private func readOutput(_ output: ChildOutput, of child: Child, limit: Int = ChildOutput.piece) {
        let isOpen: Bool
        do throws(SystemError) {
            isOpen = try output.receive(limit: limit, isKnown: { child.labels[$0] != nil }) { say($0, $1, output, child) }
        } catch {
            output.source = nil
            log.warning("the \(output.stream.rawValue) of \(child.name) is not heard any more: \(error)", metadata: child.fields)
            return
        }
        // The line is finished only when the report is about to begin.
        if output.stream == .standardError, output.hasBegun(Pool.reportMark) { beginsReport(child, now: .now) }
        // Without a reader's interest the loop would spin on the hang-up.
        if !isOpen { output.source = nil }
    }

    private func say(_ text: String, _ owner: UInt64, _ output: ChildOutput, _ child: Child) {
        let hand = child.lifecycle.hand
        if output.stream == .standardError {
            if text.hasPrefix(Pool.reportMark) { beginsReport(child, now: .now) }
            // Unmarked, it is of one that the child has: the one in work may have ended, as is to be heard.
            child.lastLines.append(text, of: owner != 0 ? [owner] : hand.assignments)
        }
        // A task that is next when its child prints has begun: its frame is on the way.
        let assignment = owner != 0 ? owner : hand.running ?? hand.next ?? 0
        onOutput(child, OutputLine(stream: output.stream, text: text, assignment: assignment))
    }
}
