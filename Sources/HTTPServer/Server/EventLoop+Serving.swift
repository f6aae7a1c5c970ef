import Logging

extension EventLoop {
    /// The most that is read and thrown away from a client that was refused.
    private static let discardedBytesMax = 4 << 20

    /// Something happened to the socket of `connection`.
    func advance(_ connection: Connection, _ readiness: Readiness) {
        if !readiness.isDisjoint(with: .broken) { return close(connection) }
        if readiness.contains(.output) && connection.interest.contains(.output) {
            // Under TLS it may be a read that waits for the socket to take something.
            if connection.transport.awaits == .output && connection.unsent.isEmpty { return receive(connection) }
            flush(connection)
            serve(connection)
        }
        guard connection.isOpen else { return }
        if connection.interest.contains(.input) {
            if !readiness.isDisjoint(with: [.input, .peerEnded]) {
                receive(connection, peerHasEnded: readiness.contains(.peerEnded))
            }
        } else if readiness.contains(.peerEnded) && connection.interest.contains(.peerEnded) {
            // While an answer is under way nothing is read, so that this is how a client that gave up is noticed.
            close(connection)
        }
    }

    func receive(_ connection: Connection, peerHasEnded: Bool = false) {
        guard let step = connection.transport.greeting else { return receiveNow(connection) }
        // Most have had their turn before the socket tells of the same again; who has not is watched no more till then.
        if connection.isQueued { return settle(connection) }
        if step == .first, let result = connection.transport.awaitGreeting() {
            // The socket tells of a client's end again and again, and the rest of its first message never comes.
            return result == .blocked && peerHasEnded ? close(connection) : take(result, of: connection)
        }
        awaitTurn(connection, step)
    }

    /// The client has said something that a handshake goes on with in its turn.
    private func awaitTurn(_ connection: Connection, _ step: Greeting) {
        connection.isQueued = true
        handshakes.append(connection.token, of: connection.source, at: step)
    }

    /// The turn of a handshake.
    func greet(_ connection: Connection, warily isWary: Bool) {
        connection.isQueued = false
        connection.transport.isWary = isWary
        receiveNow(connection)
        noteSignature(connection)
        if isWary, connection.isOpen, connection.transport.greeting == .unproven { awaitTurn(connection, .unproven) }
    }

    /// After a turn of a handshake: no step that waits for one is left, so that a signature was made; and nothing is
    /// owed where the client did not have to be waited for.
    private func noteSignature(_ connection: Connection) {
        let transport = connection.transport
        guard transport.isHandshaking, transport.greeting == nil else { return }
        connection.owesHandshake = true
        debt.owe(now: now)
    }

    /// The turn of a connection that had more to be answered than fitted into the last one.
    func resume(_ connection: Connection) {
        connection.isQueued = false
        if connection.hasMore { serve(connection) }
    }

    private func receiveNow(_ connection: Connection) {
        let result = connection.transport.receive(into: scratch)
        if connection.owesHandshake, !connection.transport.isHandshaking {
            connection.owesHandshake = false
            debt.pay()
        }
        take(result, of: connection)
    }

    private func take(_ result: TransportResult, of connection: Connection) {
        switch result {
        case .moved(let count):
            if waits.wait(of: connection.slot) == .lingering { return discard(connection, count) }
            connection.parser.append(UnsafeRawBufferPointer(rebasing: scratch[..<count]))
            serve(connection)
            noteGathered(connection)
        case .blocked: settle(connection)
        case .unencrypted: turnAway(connection, HTTPParseError(400, "this port speaks HTTPS"))
        case .ended, .failed: close(connection)
        }
    }

    /// Large requests that are not yet whole share a bound; whoever goes beyond it is refused. Small ones never are.
    private func noteGathered(_ connection: Connection) {
        guard connection.isOpen else { return }
        countGathered(connection)
        guard connection.gathered > EventLoop.smallRequestBytes, gatheredBytes > configuration.gatheredBytesMax else {
            return
        }
        turnAway(connection, HTTPParseError(503, "too much is being received, try again"))
    }

    private func countGathered(_ connection: Connection) {
        let gathered = connection.parser.gatheredCount
        gatheredBytes += gathered - connection.gathered
        connection.gathered = gathered
    }

    /// Refuses what has not come to a request, outside of serving.
    func turnAway(_ connection: Connection, _ error: HTTPParseError) {
        refuse(connection, error)
        flush(connection)
        settle(connection)
    }

    private func discard(_ connection: Connection, _ count: Int) {
        connection.discarded += count
        if connection.discarded > EventLoop.discardedBytesMax { close(connection) }
    }

    /// Answers what is buffered, as far as the client takes the answers and its turn goes.
    private func serve(_ connection: Connection) {
        connection.hasMore = answerBuffered(connection)
        flush(connection)
        settle(connection)
    }

    /// Answers requests until none is whole, one needs a task, or the turn ends (true).
    private func answerBuffered(_ connection: Connection) -> Bool {
        let begun = LoopClock.now()
        var requests = 0
        while connection.mayServe {
            if outgoing.count >= EventLoop.outgoingBytesMax || requests == EventLoop.requestsPerTurnMax { return true }
            if requests > 0 && LoopClock.now() - begun >= EventLoop.turn { return true }
            requests += 1
            switch connection.parser.next() {
            case .needsMore: return false
            case .sendContinue: outgoing += ResponseWriter.continueLine
            case .request(let request): answer(request, on: connection)
            case .failed(let error): refuse(connection, error)
            }
        }
        // What is unsent may be taken at the next attempt already, and then nothing tells of what is buffered.
        return !connection.unsent.isEmpty
    }

    private func answer(_ request: HTTPRequest, on connection: Connection) {
        var request = request
        connection.isNewcomer = false
        connection.hasAsked = true
        connection.finishedRequest = true
        let exchange = Exchange(request, since: now)
        guard isTrusted(connection) else {
            var refusal = HTTPResponse.text(403, "client certificate required")
            refusal.closesConnection = true
            return write(refusal, exchange, on: connection)
        }
        request.security = security(of: connection)
        let reply = setup.handler.reply(to: request)
        if request.keepsAlive {
            connection.hasShare = reply.kind == .urgent || setup.handler.hasShare(peer: request.peer)
        }
        switch reply.form {
        case .ready(let response): write(response, exchange, on: connection)
        case .work(let work):
            let slots = setup.slots[reply.kind]
            guard slots.take() else {
                let refusal = HTTPResponse.stockError(503, explanation: "too many requests are being worked on")
                return write(work.otherwise() ?? refusal, exchange, on: connection)
            }
            connection.pending = PendingAnswer(task: startTask(work, connection.token, slots), exchange: exchange)
        }
    }

    private func startTask(_ work: HTTPWork, _ token: EventToken, _ slots: AnswerSlots) -> Task<Void, Never> {
        let mailbox = setup.mailbox
        return Task {
            let response = await work.run()
            // Given back when the work has ended, not when the client left: the bound is on the work.
            slots.giveBack()
            mailbox.post(.answered(token, response))
        }
    }

    /// The task's answer has come; its connection may be gone.
    func finishPending(_ token: EventToken, _ response: HTTPResponse) {
        guard let connection = table[token], let pending = connection.pending else { return }
        connection.pending = nil
        write(response, pending.exchange, on: connection)
        flush(connection)
        serve(connection)
    }

    private func write(_ response: HTTPResponse, _ exchange: Exchange, on connection: Connection) {
        var response = response
        if response.stream != nil && !startStream(response, exchange, on: connection) {
            response = .stockError(503, explanation: "too many streams are open")
        }
        let keepsAlive =
            exchange.keepsAlive && !response.closesConnection && !connection.isEnding && response.stream == nil
        let form = ResponseWriter.Form(
            version: exchange.version, omitsBody: exchange.method == "HEAD", keepsAlive: keepsAlive)
        ResponseWriter.append(response, form: form, stamp: stamp, to: &outgoing)
        if !keepsAlive { connection.isEnding = true }
        guard let log = configuration.accessLog else { return }
        log(
            HTTPAccess(
                peer: exchange.peer, method: exchange.method, target: exchange.target, version: exchange.version,
                status: response.status, latency: .nanoseconds(LoopClock.now() - exchange.since)))
    }

    /// Answers bytes that are no request. Where the next one begins is unknown, so that the connection ends.
    private func refuse(_ connection: Connection, _ error: HTTPParseError) {
        setup.logger.debug(
            "HTTP request refused", metadata: ["peer": "\(connection.parser.peer)", "reason": "\(error)"])
        let form = ResponseWriter.Form(version: connection.parser.version, omitsBody: false, keepsAlive: false)
        ResponseWriter.append(error.response, form: form, stamp: stamp, to: &outgoing)
        connection.isEnding = true
        connection.lingersAtEnd = true
        connection.isNewcomer = false
        connection.parser.drop()
        countGathered(connection)
    }

    /// Sends what is gathered and what is left from before, as far as the socket takes it.
    func flush(_ connection: Connection) {
        defer { outgoing.removeAll(keepingCapacity: outgoing.capacity <= 4 * EventLoop.outgoingBytesMax) }
        guard connection.isOpen else { return }
        if !connection.unsent.isEmpty {
            connection.unsent.append(outgoing[...])
            connection.unsent.consume { send($0, on: connection) }
        } else if !outgoing.isEmpty {
            let sent = outgoing.withUnsafeBytes { send($0, on: connection) }
            if sent < outgoing.count { connection.unsent.append(outgoing[sent...]) }
        }
        guard connection.isOpen && connection.isEnding && connection.unsent.isEmpty && connection.pending == nil else {
            return
        }
        if waits.wait(of: connection.slot) != .lingering { finish(connection) }
    }

    /// How many of `bytes` the socket took; a broken connection is closed.
    private func send(_ bytes: UnsafeRawBufferPointer, on connection: Connection) -> Int {
        var sent = 0
        while sent < bytes.count {
            switch connection.transport.send(UnsafeRawBufferPointer(rebasing: bytes[sent...])) {
            case .moved(let count): sent += count
            case .blocked: return sent
            case .ended, .failed, .unencrypted:
                close(connection)
                return bytes.count
            }
        }
        return sent
    }

    /// Everything is sent: ends the connection, or waits for a refused client to have read why.
    private func finish(_ connection: Connection) {
        if !connection.lingersAtEnd || isStopping { return close(connection) }
        connection.lingersAtEnd = false
        connection.transport.endSending()
        waits.move(connection.slot, of: connection.source, to: .lingering, now: now)
    }

    /// What a connection waits for that has nothing to be answered or sent.
    private func quietWait(_ connection: Connection) -> TimeoutQueues.Wait {
        if connection.transport.isHandshaking { return .handshaking }
        if connection.parser.isMidRequest { return .reading }
        if !connection.hasAsked { return .silent }
        return connection.hasShare ? .idleInShare : .idle
    }

    /// Watches the socket for what the connection needs next, and starts the timeout that goes with it.
    func settle(_ connection: Connection) {
        guard connection.isOpen else { return }
        var interest: Readiness
        let wait: TimeoutQueues.Wait?
        if waits.wait(of: connection.slot) == .lingering {
            (interest, wait) = (.input, .lingering)
        } else if connection.hasMore && connection.mayServe {
            if !connection.isQueued { unfinished.append(connection.token) }
            connection.isQueued = true
            (interest, wait) = ([], .writing)
        } else if connection.isQueued && connection.transport.isHandshaking {
            (interest, wait) = (.peerEnded, .handshaking)
        } else if !connection.unsent.isEmpty {
            // A client may end its side and still read: that it did is no news while there is something to send.
            (interest, wait) = (.output, .writing)
        } else if connection.pending != nil {
            (interest, wait) = (.peerEnded, nil)
        } else {
            (interest, wait) = ([.input, .peerEnded], quietWait(connection))
        }
        interest = interest.watched(awaits: connection.transport.awaits, hasUnsent: !connection.unsent.isEmpty)
        if waits.wait(of: connection.slot) != wait || connection.finishedRequest {
            waits.move(connection.slot, of: connection.source, to: wait, now: now)
        }
        connection.finishedRequest = false
        watch(connection, interest)
    }

    private func watch(_ connection: Connection, _ interest: Readiness) {
        let watch: Connection.Watch = connection.isNewcomer ? .newcomers : .others
        if connection.watch == watch && connection.interest == interest { return }
        connection.interest = interest
        let (socket, token) = (connection.transport.socket, connection.token)
        let isWatched: Bool
        if connection.watch == watch {
            isWatched = (connection.isNewcomer ? newcomers : epoll).change(socket, interest, token)
        } else {
            // Whoever was answered is no newcomer any more, and nobody becomes one.
            if connection.watch == .newcomers { newcomers.remove(socket) }
            isWatched = (connection.isNewcomer ? newcomers : epoll).add(socket, interest, token)
        }
        connection.watch = watch
        if !isWatched { close(connection) }
    }
}
