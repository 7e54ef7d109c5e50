// The PromQL editor. Loaded on demand: it is the largest part of the application.
import { acceptCompletion, autocompletion, closeBrackets, closeBracketsKeymap, closeCompletion, completionKeymap, completionStatus, startCompletion, type Completion, type CompletionContext, type CompletionResult } from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap, insertNewlineAndIndent } from '@codemirror/commands';
import { bracketMatching, HighlightStyle, indentOnInput, syntaxHighlighting } from '@codemirror/language';
import { lintKeymap } from '@codemirror/lint';
import { Compartment, EditorState, Prec } from '@codemirror/state';
import { EditorView, keymap, placeholder } from '@codemirror/view';
import { tags } from '@lezer/highlight';
import { newCompleteStrategy, PromQLExtension, type CompleteStrategy } from '@prometheus-io/codemirror-promql';
import { useEffect, useImperativeHandle, useRef, type Ref } from 'react';
import { ApiCompletion, NAME_LIMIT } from './completion';
import { getPref, PREF, usePref } from '../shell/prefs';

export interface EditorHandle {
  text: () => string;
  focus: () => void;
  set: (text: string) => void;
}

const colours = HighlightStyle.define([
  { tag: [tags.keyword, tags.modifier, tags.operatorKeyword], color: 'var(--syntax-keyword)' },
  { tag: tags.function(tags.variableName), color: 'var(--syntax-function)' },
  { tag: [tags.string, tags.special(tags.string)], color: 'var(--syntax-string)' },
  { tag: [tags.number, tags.literal], color: 'var(--syntax-number)' },
  { tag: tags.labelName, color: 'var(--syntax-label)' },
  { tag: tags.comment, color: 'var(--text-soft)', fontStyle: 'italic' },
  { tag: tags.invalid, color: 'var(--bad)' },
]);

/** The strategy of the language package, with help texts fetched one by one and past queries on top. */
class Completions implements CompleteStrategy {
  private readonly inner: CompleteStrategy;

  constructor(private readonly client: ApiCompletion) {
    this.inner = newCompleteStrategy({ remote: client, maxMetricsMetadata: 0 });
  }

  promQL(context: CompletionContext): Promise<CompletionResult | null> | CompletionResult | null {
    const result = this.inner.promQL(context);
    return result instanceof Promise ? result.then((r) => this.enrich(r, context)) : this.enrich(result, context);
  }

  private enrich(result: CompletionResult | null, context: CompletionContext): CompletionResult | null {
    const past: Completion[] = [];
    const word = context.matchBefore(/[\s\S]*/);
    if (getPref(PREF.queryHistory, false) && (result === null || result.from === 0) && (word?.text.length ?? 0) < 60) {
      for (const expr of getPref<string[]>(PREF.history, [])) {
        past.push({ label: expr.length > 80 ? `${expr.slice(0, 76)} ...` : expr, apply: expr, detail: 'past query', type: 'text', boost: -50 });
      }
    }
    if (result === null) return past.length > 0 ? { from: 0, options: past, validFor: /^[\w:]*$/ } : null;
    const options = result.options.map((option) =>
      option.type === 'constant' && !option.info ? { ...option, info: () => this.help(option.label) } : option);
    // A list that the server cut is asked for again with every letter.
    const cut = result.options.length >= NAME_LIMIT || this.client.waitsForLetters;
    return { ...result, options: [...options, ...past], validFor: cut ? undefined : result.validFor };
  }

  private async help(metric: string): Promise<Node | null> {
    const found = await this.client.metadataOf(metric);
    if (!found) return null;
    const box = document.createElement('div');
    const type = document.createElement('strong');
    type.textContent = found.type;
    box.append(type, document.createTextNode(found.help ? ` ${found.help}` : ''));
    return box;
  }

  destroy(): void {
    this.client.destroy();
  }
}

interface Props {
  value: string;
  label: string;
  autoFocus?: boolean;
  onRun: () => void;
  onRunAll: () => void;
  ref?: Ref<EditorHandle>;
}

export default function Editor({ value, label, autoFocus, onRun, onRunAll, ref }: Props) {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const callbacks = useRef({ onRun, onRunAll });
  callbacks.current = { onRun, onRunAll };
  const compartments = useRef({ language: new Compartment(), colours: new Compartment() });
  const [autocomplete] = usePref<boolean>(PREF.autocomplete, true);
  const [highlighting] = usePref<boolean>(PREF.highlighting, true);
  const [linter] = usePref<boolean>(PREF.linter, true);

  const replaceText = (text: string) => {
    const v = view.current;
    if (v && v.state.doc.toString() !== text) {
      v.dispatch({ changes: { from: 0, to: v.state.doc.length, insert: text }, selection: { anchor: text.length } });
    }
  };
  useImperativeHandle(ref, () => ({
    text: () => view.current?.state.doc.toString() ?? value,
    focus: () => view.current?.focus(),
    set: replaceText,
  }));

  useEffect(() => {
    let past = -1;
    let draft = '';
    const walk = (by: number) => (v: EditorView) => {
      const items = getPref<string[]>(PREF.history, []);
      if (past < 0) draft = v.state.doc.toString();
      const next = Math.max(-1, Math.min(items.length - 1, past + by));
      if (next === past) return true;
      past = next;
      replaceText(past < 0 ? draft : items[past]);
      return true;
    };
    const run = () => {
      past = -1;
      callbacks.current.onRun();
      return true;
    };
    const v = new EditorView({
      parent: host.current as HTMLElement,
      state: EditorState.create({
        doc: value,
        extensions: [
          history(),
          bracketMatching(),
          closeBrackets(),
          indentOnInput(),
          autocompletion({ activateOnTypingDelay: 80, maxRenderedOptions: 60, icons: false }),
          compartments.current.language.of([]),
          compartments.current.colours.of([]),
          EditorView.lineWrapping,
          EditorView.contentAttributes.of({ 'aria-label': label, spellcheck: 'false' }),
          placeholder('Expression (Shift+Enter for a new line)'),
          Prec.highest(keymap.of([
            { key: 'Enter', run: (w) => (completionStatus(w.state) === 'active' && acceptCompletion(w)) || run() },
            { key: 'Shift-Enter', run: insertNewlineAndIndent },
            { key: 'Mod-Enter', run: () => { callbacks.current.onRunAll(); return true; } },
            { key: 'Mod-ArrowUp', run: walk(1) },
            { key: 'Mod-ArrowDown', run: walk(-1) },
            { key: 'Tab', run: acceptCompletion },
            { key: 'Escape', run: (w) => { if (!closeCompletion(w)) w.contentDOM.blur(); return true; } },
            { key: 'Ctrl-Space', run: startCompletion },
          ])),
          keymap.of([...closeBracketsKeymap, ...defaultKeymap, ...historyKeymap, ...completionKeymap, ...lintKeymap]),
        ],
      }),
    });
    view.current = v;
    if (autoFocus) v.focus();
    return () => {
      v.destroy();
      view.current = null;
    };
    // The editor lives as long as its panel; later values come through replaceText.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, []);

  useEffect(() => {
    const promql = new PromQLExtension()
      .setComplete({ completeStrategy: new Completions(new ApiCompletion()) })
      .activateCompletion(autocomplete)
      .activateLinter(linter);
    view.current?.dispatch({ effects: compartments.current.language.reconfigure(promql.asExtension()) });
    return () => promql.destroy();
  }, [autocomplete, linter]);
  useEffect(() => {
    view.current?.dispatch({ effects: compartments.current.colours.reconfigure(highlighting ? syntaxHighlighting(colours) : []) });
  }, [highlighting]);
  useEffect(() => replaceText(value), [value]);

  return <div className="editor" ref={host} />;
}
