import SwiftOperators
import SwiftParser
import SwiftSyntax

/// Puts a switch around every condition, every decision that is returned and every statement that has an effect.
///
/// What it cannot switch without knowing types, it leaves: bindings, patterns, statements that may be the value of an
/// `if` or `switch` expression, and initialisers, whose properties must all be set.
final class Rewriter: SyntaxRewriter {
    private let register: Register
    private let converter: SourceLocationConverter
    /// The result type of the functions and closures around, the innermost last; "?" where it is not written.
    private var results: [String] = []

    init(_ register: Register, _ tree: SourceFileSyntax) {
        self.register = register
        converter = SourceLocationConverter(fileName: register.file, tree: tree)
    }

    /// The text of a file with its switches, which are numbered on in `register`.
    static func rewrite(_ text: String, _ register: Register) -> String {
        let parsed = Parser.parse(source: text)
        let folded = OperatorTable.standardOperators.foldAll(parsed, errorHandler: { _ in })
        guard let tree = folded.as(SourceFileSyntax.self) else { return text }
        return Rewriter(register, tree).rewrite(tree).description
    }

    // MARK: Where we are

    private func inside<Result>(_ type: String, _ body: () -> Result) -> Result {
        results.append(type)
        defer { results.removeLast() }
        return body()
    }

    override func visit(_ node: FunctionDeclSyntax) -> DeclSyntax {
        let type = node.signature.returnClause?.type.trimmedDescription ?? "Void"
        return inside(type) { implicitReturn(super.visit(node), of: node, type) }
    }

    private func implicitReturn(
        _ node: DeclSyntax, of source: FunctionDeclSyntax, _ type: String
    ) -> DeclSyntax {
        guard var function = node.as(FunctionDeclSyntax.self), var body = function.body, let before = source.body,
            let statements = implicitReturn(body.statements, of: before.statements, type)
        else { return node }
        body.statements = statements
        function.body = body
        return DeclSyntax(function)
    }

    private func implicitReturn(
        _ body: CodeBlockItemListSyntax, of source: CodeBlockItemListSyntax, _ type: String
    ) -> CodeBlockItemListSyntax? {
        guard body.count == 1, let item = body.first, case .expr(let expression) = item.item,
            case .expr(let original)? = source.first?.item, let switched = dropped(expression, type, of: original)
        else { return nil }
        return [item.with(\.item, .expr(switched))]
    }

    override func visit(_ node: ClosureExprSyntax) -> ExprSyntax { inside("?") { super.visit(node) } }

    /// A property that is only computed is a function of its type.
    override func visit(_ node: AccessorBlockSyntax) -> AccessorBlockSyntax {
        guard case .getter(let source) = node.accessors,
            let type = node.parent?.as(PatternBindingSyntax.self)?.typeAnnotation?.type.trimmedDescription
        else { return inside("?") { super.visit(node) } }
        return inside(type) {
            let visited = super.visit(node)
            guard case .getter(let body) = visited.accessors else { return visited }
            return visited.with(\.accessors, .getter(implicitReturn(body, of: source, type) ?? body))
        }
    }

    override func visit(_ node: InitializerDeclSyntax) -> DeclSyntax { inside("init") { super.visit(node) } }

    /// An `if` or `switch` that stands here is a value.
    override func visit(_ node: InitializerClauseSyntax) -> InitializerClauseSyntax {
        inside("?") { super.visit(node) }
    }

    override func visit(_ node: IfConfigDeclSyntax) -> DeclSyntax { DeclSyntax(node) }

    // MARK: Conditions

    override func visit(_ node: ConditionElementSyntax) -> ConditionElementSyntax {
        let visited = super.visit(node)
        guard case .expression(let condition) = visited.condition else { return visited }
        return visited.with(\.condition, .expression(flipped(condition, at: node.position, of: node)))
    }

    override func visit(_ node: TernaryExprSyntax) -> ExprSyntax {
        guard let visited = super.visit(node).as(TernaryExprSyntax.self) else { return ExprSyntax(node) }
        return ExprSyntax(visited.with(\.condition, flipped(visited.condition, at: node.position, of: node.condition)))
    }

    /// Each side of `&&` and `||` is a condition of its own.
    override func visit(_ node: InfixOperatorExprSyntax) -> ExprSyntax {
        if node.operator.is(AssignmentExprSyntax.self) { return inside("?") { super.visit(node) } }
        guard let visited = super.visit(node).as(InfixOperatorExprSyntax.self),
            let sign = node.operator.as(BinaryOperatorExprSyntax.self)?.operator.text,
            ["&&", "||", "+"].contains(sign)
        else { return super.visit(node) }
        if sign == "+" { return joined(visited, of: node) }
        let left = flipped(visited.leftOperand, at: node.leftOperand.position, of: node.leftOperand)
        let right = flipped(visited.rightOperand, at: node.rightOperand.position, of: node.rightOperand)
        return ExprSyntax(visited.with(\.leftOperand, left).with(\.rightOperand, right))
    }

    /// Where a list is returned, a sum is one of lists.
    private func joined(_ sum: InfixOperatorExprSyntax, of original: InfixOperatorExprSyntax) -> ExprSyntax {
        guard let type = results.last, Switches.isList(type), isReturned(original) else { return ExprSyntax(sum) }
        let number = register.add(.order, line: line(original), text: original.trimmedDescription)
        let parts = "\(sum.leftOperand.trimmedDescription), \(sum.rightOperand.trimmedDescription)"
        return written("mutantJoins(\(number), \(parts))")
            .with(\.leadingTrivia, sum.leadingTrivia).with(\.trailingTrivia, sum.trailingTrivia)
    }

    private func isReturned(_ node: InfixOperatorExprSyntax) -> Bool {
        if node.parent?.is(ReturnStmtSyntax.self) == true { return true }
        guard let item = node.parent?.as(CodeBlockItemSyntax.self) else { return false }
        return item.parent?.as(CodeBlockItemListSyntax.self)?.count == 1
    }

    /// The smaller of two for the larger.
    override func visit(_ node: FunctionCallExprSyntax) -> ExprSyntax {
        let names = ["min": "mutantMin", "max": "mutantMax"]
        let visited = super.visit(node)
        guard let name = node.calledExpression.as(DeclReferenceExprSyntax.self).flatMap({ names[$0.baseName.text] }),
            node.arguments.count == 2, node.arguments.allSatisfy({ $0.label == nil }), node.trailingClosure == nil,
            let call = visited.as(FunctionCallExprSyntax.self)
        else { return visited }
        let number = register.add(.flipped, line: line(node), text: node.trimmedDescription)
        return written("\(name)(\(number), \(call.arguments.trimmedDescription))")
            .with(\.leadingTrivia, call.leadingTrivia).with(\.trailingTrivia, call.trailingTrivia)
    }

    private func flipped(
        _ condition: ExprSyntax, at position: AbsolutePosition, of original: some SyntaxProtocol
    ) -> ExprSyntax {
        // A conjunction is switched by its parts, and what is only a literal is nobody's decision.
        if let infix = condition.as(InfixOperatorExprSyntax.self),
            let sign = infix.operator.as(BinaryOperatorExprSyntax.self)?.operator.text, sign == "&&" || sign == "||"
        {
            return condition
        }
        if condition.is(BooleanLiteralExprSyntax.self) { return condition }
        let number = register.add(.flipped, line: line(original), text: original.trimmedDescription)
        return wrapped(condition, "mutantFlips(\(number), ")
    }

    // MARK: Decisions

    override func visit(_ node: ReturnStmtSyntax) -> StmtSyntax {
        guard let visited = super.visit(node).as(ReturnStmtSyntax.self), let expression = visited.expression,
            let original = node.expression, let type = results.last,
            let switched = dropped(expression, type, of: original)
        else { return super.visit(node) }
        return StmtSyntax(visited.with(\.expression, switched))
    }

    private func dropped(_ expression: ExprSyntax, _ type: String, of original: ExprSyntax) -> ExprSyntax? {
        guard let name = Switches.name(type), !expression.is(NilLiteralExprSyntax.self),
            !expression.is(IfExprSyntax.self), !expression.is(SwitchExprSyntax.self),
            !["[]", "[:]"].contains(original.trimmedDescription)
        else { return nil }
        // What waits already cannot be made to wait.
        if type == "Decision", original.trimmedDescription.hasPrefix("Decision(.wait,") { return nil }
        let isCondition = type == "Bool"
        if isCondition, expression.is(BooleanLiteralExprSyntax.self) { return nil }
        let number = register.add(
            isCondition ? .flipped : .dropped, line: line(original), text: original.trimmedDescription)
        return wrapped(expression, "\(name)(\(number), ")
    }

    private func wrapped(_ expression: ExprSyntax, _ call: String) -> ExprSyntax {
        let text = "\(call)\(expression.trimmedDescription))"
        return written(text)
            .with(\.leadingTrivia, expression.leadingTrivia).with(\.trailingTrivia, expression.trailingTrivia)
    }

    // MARK: Statements

    override func visit(_ node: CodeBlockItemListSyntax) -> CodeBlockItemListSyntax {
        let visited = super.visit(node)
        guard let type = results.last, type != "init" else { return visited }
        // The only expression of a block may be its value.
        if node.count == 1, type != "Void" { return visited }
        if type == "?", node.parent?.is(ClosureExprSyntax.self) != true { return visited }
        let items = zip(node, visited).map { original, item -> CodeBlockItemSyntax in
            guard case .expr(let expression) = original.item, hasEffect(expression) else { return item }
            let number = register.add(.skipped, line: line(original), text: expression.trimmedDescription)
            let text = "if !mutantSkips(\(number)) { \(item.item.trimmedDescription) }"
            return item.with(\.item, .expr(written(text)))
                .with(\.leadingTrivia, item.leadingTrivia).with(\.trailingTrivia, item.trailingTrivia)
        }
        return CodeBlockItemListSyntax(items)
    }

    /// A call, or an assignment to a property.
    private func hasEffect(_ expression: ExprSyntax) -> Bool {
        if let call = expression.as(FunctionCallExprSyntax.self) {
            return call.calledExpression.trimmedDescription != "fatalError"
        }
        guard let infix = expression.as(InfixOperatorExprSyntax.self) else { return false }
        let isAssignment =
            infix.operator.is(AssignmentExprSyntax.self)
            || infix.operator.trimmedDescription.hasSuffix("=") && infix.operator.trimmedDescription.count == 2
                && !["==", "!=", "<=", ">="].contains(infix.operator.trimmedDescription)
        return isAssignment && infix.leftOperand.is(MemberAccessExprSyntax.self)
            || isAssignment && infix.leftOperand.is(OptionalChainingExprSyntax.self)
    }

    /// Text in the place of an expression: the tree is printed and never looked at again.
    private func written(_ text: String) -> ExprSyntax {
        ExprSyntax(DeclReferenceExprSyntax(baseName: .identifier(text)))
    }

    private func line(_ node: some SyntaxProtocol) -> Int {
        converter.location(for: node.positionAfterSkippingLeadingTrivia).line
    }
}
