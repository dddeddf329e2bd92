import Testing

@testable import CoppiceSupervisor

@Suite struct MemoryPeakTests {
    @Test(
        arguments: [
            // Above its parent's peak it is its own, whatever was seen before.
            (reaped: 90, parent: 50, seen: nil, peak: MemoryPeak.exactly(90)), (90, 50, 70, .exactly(90)),
            // The parent's peak hides it, unless somebody looked.
            (50, 50, nil, .below(50)), (50, 50, 20, .exactly(20)),
            // A corpse is not reaped.
            (nil, 50, 20, .exactly(20)), (nil, 50, nil, nil),
            // Without the parent's peak the kernel's figure says nothing.
            (90, nil, nil, nil), (90, nil, 20, .exactly(20)),
        ] as [(reaped: Int?, parent: Int?, seen: Int?, peak: MemoryPeak?)])
    func theChildsOwnPeak(_ known: (reaped: Int?, parent: Int?, seen: Int?, peak: MemoryPeak?)) {
        #expect(MemoryPeak(reaped: known.reaped, parent: known.parent, seen: known.seen) == known.peak)
    }
}
