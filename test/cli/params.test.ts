import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { workflowLink } from '../../src/temporal/links.js';
import { readLabels, readParams, readReferences } from '../../src/cli/params.js';
import { isExact, parseExactJson } from '../../src/policy/exact-json.js';
import { InvalidInput } from '../../src/policy/index.js';

describe('params arrive as they were typed, or are refused', () => {
  it.each(['12345678901234567890', '1e400', '0.1000000000000000000001', '9007199254740993', '1e-400', '-1e999'])(
    'refuses %s, which JSON cannot carry exactly, and names the param',
    (number) => {
      expect(() => readParams([`seed:=${number}`])).toThrow(/^params\.seed: .*exactly/);
      expect(() => readParams([`a:={"b":[1,{"c":${number}}]}`])).toThrow(/^params\.a\.b\[1\]\.c: .*exactly/);
    },
  );

  it.each(['0.10', '1e2', '0', '-0.5', '42', '0.1', '1E+2', '123.4500', '9007199254740991', '0e99'])(
    'takes %s',
    (number) => expect(readParams([`seed:=${number}`])).toEqual({ seed: Number(number) }),
  );

  it('gives back every JSON value that JavaScript itself writes', () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        // A text that JavaScript has written holds each number in the shortest form that is exact, and no name twice.
        const written = JSON.stringify(JSON.parse(text));
        expect(JSON.stringify(parseExactJson(written, 'params'))).toBe(written);
      }),
    );
  });

  it('judges a number by its value and not by how it is written', () => {
    fc.assert(
      fc.property(
        fc.double({ noNaN: true, noDefaultInfinity: true }),
        fc.integer({ min: 0, max: 20 }),
        (number, zeros) => {
          const [mantissa = '', exponent] = Math.abs(number).toString().split('e');
          const padded = `${mantissa}${mantissa.includes('.') ? '' : '.'}${'0'.repeat(zeros + 1)}`;
          const more = `${padded}1`;
          const tail = exponent === undefined ? '' : `e${exponent}`;
          expect(isExact(padded + tail)).toBe(true);
          // JavaScript writes any double with 17 digits at most, so a number that needs more is not kept.
          if (more.replace('.', '').replace(/^0+/, '').length > 17) expect(isExact(more + tail)).toBe(false);
        },
      ),
    );
  });

  it('refuses a name that stands twice, in one document or across options', () => {
    expect(() => parseExactJson('{"a":{"b":1,"b":2}}', 'params')).toThrow(/^params\.a\.b: .*twice/);
    expect(() => readParams(['seed=1', 'seed:=2'])).toThrow(/^params\.seed: .*twice/);
    expect(parseExactJson('{"a":{"b":1},"c":{"b":"b"},"d":["b","b"]}', 'params')).toEqual({
      a: { b: 1 },
      c: { b: 'b' },
      d: ['b', 'b'],
    });
  });

  it('keeps values of key=value as texts, also booleans, numbers and signs', () => {
    expect(readParams(['sound=false', 'duration=5', 'text=a=b:=c', 'none='])).toEqual({
      sound: 'false',
      duration: '5',
      text: 'a=b:=c',
      none: '',
    });
    expect(Object.keys(readParams(['__proto__=x']) ?? {})).toEqual(['__proto__']);
  });

  it.each(['nothing', '=x', ':=1'])('refuses the assignment %j', (text) => {
    expect(() => readParams([text])).toThrow(InvalidInput);
  });

  it.each(['{a:1}', '', '[1,]'])('refuses %j as JSON of a param', (json) => {
    expect(() => readParams([`a:=${json}`])).toThrow(/^params\.a: is not JSON/);
  });

  it('reads labels, and refuses one that is given twice', () => {
    expect(readLabels(['team=film', 'note=a=b'])).toEqual({ team: 'film', note: 'a=b' });
    expect(() => readLabels(['a=1', 'a=2'])).toThrow(/^labels\.a: /);
    expect(() => readLabels(['a'])).toThrow(/^labels: /);
  });
});

it('a link leads to the Workflow whatever characters its ID has', () => {
  expect(workflowLink({ uiUrl: 'http://ui', namespace: 'default' }, 'a/b c?#é')).toBe(
    'http://ui/namespaces/default/workflows/a%2Fb%20c%3F%23%C3%A9',
  );
  expect(workflowLink({ uiUrl: null, namespace: 'default' }, 'a')).toBeNull();
});

describe('references of a command line', () => {
  it('says by its form what a source is, and makes a path absolute', () => {
    expect(readReferences(['image:fox.png', 'video:s3://b/1.mp4', 'audio:https://a.example/1.mp3'])).toEqual([
      { kind: 'image', path: `${process.cwd()}/fox.png` },
      { kind: 'video', uri: 's3://b/1.mp4' },
      { kind: 'audio', url: 'https://a.example/1.mp3' },
    ]);
    expect(readReferences([])).toBeUndefined();
  });

  it.each(['fox.png', 'image:', ':fox.png'])('refuses %s by the name of its place', (text) => {
    expect(() => readReferences(['image:a.png', text])).toThrow(/^references\[1\]: /);
  });
});
