/* eslint-disable no-control-regex -- control characters are what this file is about */
const ESCAPE_SEQUENCES = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[@-Z\\-_])/g;
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f]/g;
const DELETE = 0x7f;
const CONTROL_PICTURES = 0x2400;
const PICTURE_OF_DELETE = '\u2421';

/**
 * Output of a program as harmless text: colour and cursor sequences are dropped, lines end in \n, and every other
 * control character is shown as its picture (␀, ␛, …), so that nothing acts on the page or hides in it.
 */
export function terminalText(output: string): string {
  return output
    .replaceAll('\r\n', '\n')
    .replaceAll(ESCAPE_SEQUENCES, '')
    .replaceAll(CONTROLS, (character) => {
      const code = character.charCodeAt(0);
      return code === DELETE ? PICTURE_OF_DELETE : String.fromCharCode(CONTROL_PICTURES + code);
    });
}
