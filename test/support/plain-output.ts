/** CI systems are taken for terminals with colours; what tests read is written without. Before anything reads it. */
process.env['NO_COLOR'] = '1';
