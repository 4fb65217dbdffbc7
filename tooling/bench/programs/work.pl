# What Perl programs do: hashes, regular expressions, strings, sorting.
use strict;
use warnings;
my (%count, @lines);
for my $i (1 .. 40000) {
  my $word = "w" . ($i * 7919 % 2000);
  $count{$word}++;
  push @lines, "$word=" . ($i * $i % 97) . ";";
}
my $text = join "\n", @lines;
my $sum = 0;
while ($text =~ /^w(\d+)=(\d+);$/mg) { $sum += $1 * $2 }
(my $changed = $text) =~ s/w(\d)(\d*)/<$2$1>/g;
my @sorted = sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count;
print "$sum $sorted[0] $sorted[-1] ", length $changed, "\n";
