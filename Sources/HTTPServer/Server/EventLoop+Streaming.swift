import Synchronization

/// A stream that is being written to a client.
struct StreamUnderWay {
    let backlog: StreamBacklog
    let place: StreamPlace
}

/// A stream's place among those that may be open. It may be passed on to another before its task has ended.
final class StreamPlace: Sendable {
    private let slots: AnswerSlots
    private let isHeld = Mutex(true)

    /// Of a slot that was taken.
    init(_ slots: AnswerSlots) { self.slots = slots }

    /// The same place for another stream; nil where it was given back.
    func passOn() -> StreamPlace? { leave() ? StreamPlace(slots) : nil }

    func giveBack() { if leave() { slots.giveBack() } }

    private func leave() -> Bool {
        isHeld.withLock { isHeld in
            defer { isHeld = false }
            return isHeld
        }
    }
}

extension EventLoop {
    /// Starts the task that writes the stream of `response`; false when there are too many already.
    func startStream(_ response: HTTPResponse, _ exchange: Exchange, on connection: Connection) -> Bool {
        guard let stream = response.stream, !isStopping, let place = streamPlace(beside: connection.source) else {
            return false
        }
        let mailbox = setup.mailbox
        let token = connection.token
        let backlog = StreamBacklog()
        let task = Task {
            await stream.run { bytes in
                !Task.isCancelled && backlog.add(bytes.count) && mailbox.post(.streamed(token, bytes))
            }
            place.giveBack()
            mailbox.post(.streamed(token, nil))
        }
        connection.stream = StreamUnderWay(backlog: backlog, place: place)
        connection.pending = PendingAnswer(task: task, exchange: exchange)
        streams.append(token)
        return true
    }

    /// A place for one more of `source`. Where there is none, the source with most gives up its oldest, the one that
    /// asks counted among them.
    private func streamPlace(beside source: Int) -> StreamPlace? {
        streams.removeAll { table[$0]?.stream == nil }
        if setup.streamSlots.take() { return StreamPlace(setup.streamSlots) }
        let open = streams.compactMap { table[$0] }
        var counts = [source: 1]
        for connection in open { counts[connection.source, default: 0] += 1 }
        let most = counts.values.max()
        guard let oldest = open.first(where: { counts[$0.source] == most }), let place = oldest.stream?.place.passOn()
        else { return nil }
        close(oldest)
        return place
    }

    /// More of a stream has come, or its end; the connection may be gone.
    func continueStream(_ token: EventToken, _ bytes: [UInt8]?) {
        guard let connection = table[token], let stream = connection.stream else { return }
        if let bytes {
            stream.backlog.take(bytes.count)
            if connection.unsent.count + bytes.count > StreamBacklog.bytesMax { return close(connection) }
            outgoing += bytes
        } else {
            connection.pending = nil
            connection.stream = nil
        }
        flush(connection)
        settle(connection)
    }
}
