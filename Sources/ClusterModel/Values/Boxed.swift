/// A large value on the heap: whoever copies what it is a part of copies a reference, and the value itself is copied
/// when it is changed while it is shared. `$name` is what holds it, for those that are to share it.
@propertyWrapper
public struct Boxed<Value: Sendable>: Sendable {
    // Nobody changes it who is not the only one that has it.
    @usableFromInline
    final class Box: @unchecked Sendable {
        // Who changes it has it to himself: the wrapper is lent to nobody else meanwhile.
        @exclusivity(unchecked)
        @usableFromInline var value: Value

        @inlinable
        init(_ value: Value) { self.value = value }
    }

    @usableFromInline var box: Box

    @inlinable
    public init(wrappedValue: Value) { box = Box(wrappedValue) }

    @inlinable public var projectedValue: Boxed { self }

    public var wrappedValue: Value {
        // Both lend the value where it stands.
        @inlinable _read { yield box.value }
        @inlinable _modify {
            if !isKnownUniquelyReferenced(&box) { box = Box(box.value) }
            yield &box.value
        }
    }
}

extension Boxed: Equatable where Value: Equatable {
    public static func == (left: Boxed, right: Boxed) -> Bool {
        left.box === right.box || left.wrappedValue == right.wrappedValue
    }
}

extension Boxed: Hashable where Value: Hashable {
    public func hash(into hasher: inout Hasher) { hasher.combine(wrappedValue) }
}
