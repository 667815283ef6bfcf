// A template as a tree: statements that write, and expressions.

export type Expression =
  | { readonly type: 'constant'; readonly value: null | boolean | bigint | number | string }
  | { readonly type: 'name'; readonly name: string }
  /** What is refused where it is reached. */
  | { readonly type: 'unsupported'; readonly what: string }
  | { readonly type: 'list' | 'tuple' | 'concat'; readonly items: readonly Expression[] }
  | { readonly type: 'mapping'; readonly entries: readonly (readonly [Expression, Expression])[] }
  | { readonly type: 'attribute'; readonly of: Expression; readonly name: string }
  | { readonly type: 'item'; readonly of: Expression; readonly at: Expression }
  | {
      readonly type: 'slice';
      readonly of: Expression;
      readonly bounds: readonly (Expression | undefined)[];
    }
  | { readonly type: 'call'; readonly of: Expression; readonly given: Given }
  | {
      readonly type: 'filter';
      readonly of: Expression | undefined;
      readonly name: string;
      readonly given: Given;
    }
  | { readonly type: 'test'; readonly of: Expression; readonly name: string; readonly given: Given }
  | { readonly type: 'not' | 'minus' | 'plus'; readonly of: Expression }
  | { readonly type: 'and' | 'or'; readonly left: Expression; readonly right: Expression }
  | {
      readonly type: 'arithmetic';
      readonly operator: string;
      readonly left: Expression;
      readonly right: Expression;
    }
  | {
      readonly type: 'comparison';
      readonly first: Expression;
      readonly rest: readonly { readonly operator: string; readonly value: Expression }[];
    }
  | {
      readonly type: 'choice';
      readonly test: Expression;
      readonly yes: Expression;
      readonly no: Expression | undefined;
    };

export interface Given {
  readonly list: readonly Expression[];
  readonly named: readonly (readonly [name: string, value: Expression])[];
}

export type Target =
  | { readonly type: 'target'; readonly name: string }
  | { readonly type: 'targets'; readonly items: readonly Target[] }
  | { readonly type: 'field'; readonly namespace: string; readonly name: string };

/** Statements with names of their own. */
export interface Body {
  readonly statements: readonly Statement[];
  /** The names that it reads or sets. */
  readonly names: ReadonlySet<string>;
  /** Those that it sets before it reads them: without a value until then, where no body around it has them. */
  readonly hidden: readonly string[];
}

export interface Signature {
  readonly parameters: readonly { readonly name: string; readonly otherwise: Expression | undefined }[];
}

export type Statement =
  | { readonly type: 'data'; readonly text: string }
  | { readonly type: 'write'; readonly value: Expression }
  | {
      readonly type: 'for';
      readonly target: Target;
      readonly of: Expression;
      readonly test: Expression | undefined;
      readonly body: Body;
      readonly otherwise: Body;
      /** Whether its body asks for `loop`. */
      readonly counts: boolean;
    }
  | {
      readonly type: 'if';
      readonly branches: readonly { readonly test: Expression; readonly statements: readonly Statement[] }[];
      readonly otherwise: readonly Statement[];
    }
  | { readonly type: 'set'; readonly target: Target; readonly value: Expression }
  | {
      readonly type: 'capture';
      readonly target: Target;
      readonly filter: Expression | undefined;
      readonly body: Body;
    }
  | {
      readonly type: 'macro';
      readonly name: string;
      readonly signature: Signature;
      readonly body: Body;
      /** Whether it asks for `caller`. */
      readonly calls: boolean;
    }
  | {
      readonly type: 'call block';
      readonly call: Expression & { readonly type: 'call' };
      readonly signature: Signature;
      readonly body: Body;
    }
  | { readonly type: 'filter block'; readonly filter: Expression; readonly body: Body }
  | { readonly type: 'generation'; readonly body: Body }
  | { readonly type: 'break' | 'continue' };

/** Everything in a tree that has a type, in the order of the text; without recursion, since a template may nest as deep as it likes. */
export function* nodesIn(tree: unknown): Generator<{ readonly type: string; readonly name?: unknown }> {
  const open: unknown[] = [tree];
  while (open.length > 0) {
    const value = open.pop();
    if (typeof value !== 'object' || value === null || value instanceof Set) continue;
    if (typeof (value as { type?: unknown }).type === 'string') yield value as { type: string };
    const fields = Object.values(value);
    for (let i = fields.length - 1; i >= 0; i--) open.push(fields[i]);
  }
}
