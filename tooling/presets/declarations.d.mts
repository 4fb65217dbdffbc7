export function markTypes(text: string, values: ReadonlySet<string>): string;
export function declareHostTypes(text: string): string;
