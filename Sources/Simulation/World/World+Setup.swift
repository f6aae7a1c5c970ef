import ClusterModel

extension World.Setup {
    /// A world with random faults of `profile`. Nil for `nodes` draws their number as well.
    public static func random(
        seed: UInt64, nodes: Int? = nil, profile: FaultProfile = .mixed, bug: PlantedBug? = nil
    ) -> World.Setup {
        var generator = SeededGenerator(seed: seed ^ 0xFA17)
        let drawn = [2, 3, 3, 3, 3, 4, 5][generator.number(in: 0...6)]
        let size = nodes ?? drawn
        let span = Duration.seconds([45, 50, 60, 70, 120][generator.number(in: 0...4)])
        let count = generator.number(in: 2...9)
        let faults = profile.plan(&generator, nodes: size, count: count, span: span)
        let lag = [0, 3000, 10_000, 50_000, 1_048_576][generator.number(in: 0...4)]
        var setup = World.Setup(
            seed: seed, nodes: size, faults: faults, span: span, guardian: profile.hasGuardian, maximumLag: lag,
            synchronous: profile.synchronous(&generator), bug: bug)
        if profile.isFailsafe {
            setup.isFailsafe = true
            // With a short one promises end while what has gone wrong is wrong still.
            setup.ttl = (profile == .failsafe ? [5, 5, 10, 30] : [5, 5, 5, 10])[generator.number(in: 0...3)]
        }
        if size > 2, setup.synchronous.mode == .off, profile != .modes, generator.oneIn(6) {
            setup.tags[size - 1] = ["nofailover": true]
        }
        if generator.oneIn(6) { setup.rewindless = [generator.number(in: 0...size - 1)] }
        if generator.oneIn(3) { setup.drawTags(&generator) }
        if profile == .ground, generator.oneIn(6) {
            let at = generator.milliseconds(in: 10_000...Int(span.nanoseconds / 1_000_000))
            setup.faults.append(Fault(.loseSite, at: at, lasts: generator.milliseconds(in: 1000...20_000)))
        }
        if generator.oneIn(8) { setup.raceBackoff = [2, 15, 40][generator.number(in: 0...2)] }
        // What waits in the kernel is let wait for a minute, and for longer where leases are long.
        if profile == .checkpoints { setup.ttl = [5, 5, 10, 30][generator.number(in: 0...3)] }
        // Both ends of what it may be: the last is brought down to a fifth of ttl.
        if setup.isFailsafe { setup.failsafeTimeout = [nil, nil, 0.5, 60][generator.number(in: 0...3)] }
        if profile == .store, generator.oneIn(3) {
            let at = generator.milliseconds(in: 0...Int(span.nanoseconds / 1_000_000))
            setup.faults.append(Fault(.fillStore, at: at, lasts: generator.milliseconds(in: 5000...40_000)))
        }
        setup.tempers = Tempers(&generator, nodes: size, rewindless: setup.rewindless)
        setup.tempers.drawMore(&generator, nodes: size, rewindless: setup.rewindless)
        setup.faults += profile.planMore(&generator, nodes: size, span: span)
        setup.faults += profile.planStore(&generator, span: span)
        setup.tempers.drawStillMore(&generator)
        if profile.isSynchronous, generator.oneIn(4) {
            // Longer than a lease, for somebody to go on without it.
            let at = generator.milliseconds(in: 0...Int(span.nanoseconds / 1_000_000) - 40_000)
            setup.faults.append(Fault(.loseVoter, at: at, lasts: generator.milliseconds(in: 35_000...100_000)))
        }
        return setup
    }
}
